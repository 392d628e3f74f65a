"""Which file of an archive is its manifest, and which of its columns say what.

A table that looks like a manifest is used, or refused with its columns named; it is never passed over in silence.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from app.datasets.readers.tables import DELIMITERS, Table, read_table
from app.datasets.readers.targets import unfit
from app.datasets.readers.zip_file import Member, SafeZip
from app.errors import DomainError, Invalid, TooLarge
from app.text import is_name
from engine.recipe.targets import Target

MAX_BYTES = 64 << 20
_FEW_BYTES, _BYTES_EACH = 8 << 20, 4096
"""Of any manifest, and for each file of the archive."""
FILE_COLUMNS = (
    "file",
    "filename",
    "file_name",
    "filepath",
    "file_path",
    "path",
    "image",
    "image_name",
    "image_file",
    "image_path",
    "img",
    "img_path",
    "picture",
)
LABEL_COLUMNS = ("label", "labels", "class", "class_name", "classname", "label_name", "category", "tags")
SPLIT_COLUMNS = ("split", "subset", "partition", "set")
"""What people call the columns, in lower case and with _ between words; the first that is there counts."""
FORMS: dict[Target, str] = {
    "class": "the first line of a manifest names its columns: file,label or file,label,split",
    "labels": "manifest.csv begins with the line file,label or file,label,split; label holds names with | between "
    "them, or nothing",
    "values": "manifest.csv begins with a line of columns: file, perhaps split, and each value by its name",
}
_TABLES = (".csv", ".tsv", ".txt")
_NAMES = ("manifest", "labels", "metadata", "annotations")
_OTHERS = (".json", ".jsonl", ".ndjson", ".xlsx", ".xls", ".ods", ".parquet", ".xml", ".yaml", ".yml")
_SAMPLE_BYTES = 1 << 16
_SAMPLE_LINES = 20
_DEEPEST = 2
"""Folders above a folder of tables and with it."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Where the columns are; `labels` are those that say what a picture shows, called `label_names`."""

    delimiter: str
    file: int
    split: int | None
    labels: tuple[int, ...]
    label_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest whose columns are clear.

    Attributes:
        form: how a manifest should be, for messages.
        reading: what it was taken for, for the report.
    """

    name: str
    table: Table
    columns: Columns
    form: str
    reading: str

    def bad(self, detail: str, hint: str) -> Invalid:
        """Make the error for it."""
        return _bad(self.name, detail, hint)


@dataclass(frozen=True, slots=True)
class _Candidate:
    member: Member
    table: Table
    delimiter: str


def find_manifest(archive: SafeZip, target: Target = "class") -> Manifest | None:
    """Return the table that says what the other files show, if there is one.

    A table looks like a manifest if its first line has a column for files, or if its lines name files of the archive.
    It lies at the top, or in the folder that holds all the rest, or in one that holds nothing but tables. One called
    manifest.csv is used whatever others there are, then labels.csv; what is called so looks like one in any case.

    Raises:
        Invalid: it has not the columns that are needed, there are several, or it is in a format that is not read.
    """
    files = [member for member in archive.members if not member.is_folder]
    names = {part for member in files for part in (member.name, member.parts[-1], _stem(member))}
    # A table in one of several folders is about that folder only.
    around = {member.parts[0] for member in files if len(member.parts) > 1}
    of_tables = _folders_of_tables(files)
    near = [
        member
        for member in files
        if len(member.parts) == 1
        or (len(member.parts) == 2 and len(around) == 1)
        or member.parts[:-1] in of_tables
    ]
    candidates = []
    for member in near:
        candidate = _candidate(archive, member, names)
        if candidate is not None:
            candidates.append(candidate)
    if not candidates:
        _check_others(archive, near, files)
        return None
    chosen = _choose(candidates)
    return _open(archive, chosen, target)


def _folders_of_tables(files: Sequence[Member]) -> set[tuple[str, ...]]:
    """Return the folders whose files are all tables, or would be in a format that is read."""
    found: dict[tuple[str, ...], bool] = {}
    for member in files:
        folder = member.parts[:-1]
        found[folder] = found.get(folder, True) and _path(member).suffix.lower() in (*_TABLES, *_OTHERS)
    return {folder for folder, tables in found.items() if tables and len(folder) <= _DEEPEST}


def _path(member: Member) -> PurePosixPath:
    """Return the name of a file without the spaces and dots at its end, which some systems do not show."""
    return PurePosixPath(member.parts[-1].strip().rstrip(". "))


def _stem(member: Member) -> str:
    return _path(member).stem


def _is_named(member: Member) -> bool:
    """Tell whether a file is called as only manifests are."""
    return _stem(member).lower() in _NAMES[:2]


def _candidate(archive: SafeZip, member: Member, names: set[str]) -> _Candidate | None:
    """Return a file as a table that looks like a manifest, or None if it does not."""
    suffix = _path(member).suffix.lower()
    if suffix not in _TABLES and not (_is_named(member) and not suffix):
        return None
    try:
        with archive.open(member) as stream:
            start = stream.read(_SAMPLE_BYTES)
        table = read_table(start, whole=len(start) < _SAMPLE_BYTES)
    # zipfile raises many kinds of error on damaged members; then it is no manifest, and is reported as a file.
    except Exception:
        return None
    own = {member.name, member.parts[-1], _stem(member)}
    delimiters = (table.delimiter,) if table.delimiter else DELIMITERS
    for delimiter in delimiters:
        lines = table.sample(delimiter, _SAMPLE_LINES)
        if not lines:
            continue
        header = [_plain(cell) for cell in lines[0]]
        has_column = len(header) > 1 and any(name in header for name in FILE_COLUMNS)
        if has_column or any(_names_file(cells, names, own) for cells in lines):
            return _Candidate(member, table, delimiter)
    for delimiter in delimiters:
        lines = table.sample(delimiter, _SAMPLE_LINES)
        if _is_named(member) and lines and len(lines[0]) > 1:
            return _Candidate(member, table, delimiter)
    # The list of many older data sets: a name, a space and a number in each line.
    lines = table.sample(" ", _SAMPLE_LINES)
    if len(lines) > 1 and all(
        _names_file(cells[:1] * 2, names, own) and len(cells) > 1 for cells in lines[1:]
    ):
        return _Candidate(member, table, " ")
    return None


def _names_file(cells: Sequence[str], names: set[str], own: set[str]) -> bool:
    """Tell whether one of the cells names a file that is not the table itself."""
    if len(cells) < 2:
        return False
    plain = (unicodedata.normalize("NFC", cell.replace("\\", "/")).removeprefix("./") for cell in cells)
    # A number alone may be the stem of a file by chance.
    return any(
        name in names and name not in own
        for cell in plain
        if cell and not cell.isdecimal()
        for name in (cell, cell.rpartition("/")[2])
    )


def _check_others(archive: SafeZip, near: Sequence[Member], files: Sequence[Member]) -> None:
    """Refuse an archive that says what its files show in a format that is not read."""
    for member in near:
        path = PurePosixPath(str(_path(member)).lower())
        if path.suffix not in _OTHERS:
            continue
        pictures = [other.parts[-1] for other in files if other is not member][:_SAMPLE_LINES]
        if path.stem in _NAMES or _mentions(archive, member, pictures):
            raise _bad(
                member.name,
                f"it may say what the pictures show, and {path.suffix} is not read",
                "write a manifest.csv with the columns file,label, or leave it out",
            )


def _mentions(archive: SafeZip, member: Member, pictures: Sequence[str]) -> bool:
    try:
        with archive.open(member) as stream:
            start = stream.read(_SAMPLE_BYTES)
    except Exception:  # see _candidate
        return False
    return any(f'"{name}"'.encode() in start or f'/{name}"'.encode() in start for name in pictures)


def _choose(candidates: Sequence[_Candidate]) -> _Candidate:
    for name in _NAMES:
        named = [one for one in candidates if _stem(one.member).lower() == name]
        if len(named) == 1:
            return named[0]
    if len(candidates) > 1:
        listed = ", ".join(sorted(one.member.name for one in candidates)[:10])
        raise Invalid(
            f"several tables of the archive name its files: {listed}; put them into one manifest.csv, with a column "
            "split for train, dev and test",
            code="bad-manifest",
        )
    return candidates[0]


def _open(archive: SafeZip, candidate: _Candidate, target: Target) -> Manifest:
    name = candidate.member.name
    try:
        table = read_table(archive.read(candidate.member, _most_bytes(archive)))
    except TooLarge as error:
        raise TooLarge(
            f"the manifest {name!r}: {error.detail}, the most for the files of this archive; leave out "
            "what says nothing of them"
        ) from error
    except DomainError as error:
        raise _bad(name, error.detail, "save it as CSV in UTF-8") from error
    columns = _columns(table, candidate.delimiter, target)
    if columns is None and target == "class" and _columns(table, candidate.delimiter, "values") is not None:
        hint = "add it, or say target=values if its columns are numbers, or leave the file out"
        if _is_one_hot(table, candidate.delimiter):
            hint = "its columns are one-hot: write the name of the one that holds 1 into a column label"
        raise unfit(
            f"the manifest {name!r} has no column label, only {_listed(table, candidate.delimiter)}", hint
        )
    if columns is None:
        raise _bad(
            name,
            f"its first line has the columns {_listed(table, candidate.delimiter)}, and not those that are needed",
            f"{FORMS[target]}; or leave the file out",
        )
    if len(set(columns.label_names)) != len(columns.label_names) or not all(
        map(is_name, columns.label_names)
    ):
        raise _bad(name, "two columns have the same name, or one has none", FORMS[target])
    header = table.header(columns.delimiter)
    said = ", ".join(header[place] for place in columns.labels[:20])
    reading = (
        f"{name}: {table.encoding}, the column {header[columns.file]} names the file, {said} what it shows"
    )
    if columns.split is not None:
        reading += f", {header[columns.split]} its split"
    return Manifest(name, table, columns, FORMS[target], reading)


def _most_bytes(archive: SafeZip) -> int:
    """Return how many bytes a manifest may have: by what it may say of each file."""
    return min(MAX_BYTES, _FEW_BYTES + _BYTES_EACH * len(archive.members))


def _is_one_hot(table: Table, delimiter: str) -> bool:
    """Tell whether all columns but those of file and split hold a single 1 in each line, and else 0."""
    columns = _columns(table, delimiter, "values")
    lines = table.sample(delimiter, _SAMPLE_LINES)[1:]
    if columns is None or len(columns.labels) < 2 or not lines:
        return False
    cells = [
        [line[place].removesuffix(".0") for place in columns.labels if place < len(line)]
        for line in lines
        if line
    ]
    return all(sorted(row) == ["0"] * (len(columns.labels) - 1) + ["1"] for row in cells)


def _listed(table: Table, delimiter: str) -> str:
    """Return the columns of a table for a message."""
    return ", ".join(
        repr(cell[:40]) if is_name(cell) else ascii(cell[:40]) for cell in table.header(delimiter)[:20]
    )


def _columns(table: Table, delimiter: str, target: Target) -> Columns | None:
    """Return where the columns are, or None when those that are needed are not there."""
    written = table.header(delimiter)
    names = [_plain(name) for name in written]
    file = _first(names, FILE_COLUMNS)
    # Of numbers only the column called split is none.
    split = _first(names, SPLIT_COLUMNS[:1] if target == "values" else SPLIT_COLUMNS)
    if file is None:
        return None
    if target == "values":
        labels = tuple(place for place in range(len(names)) if place not in (file, split))
    else:
        label = _first(names, LABEL_COLUMNS)
        labels = () if label is None else (label,)
    if not labels:
        return None
    spelled = tuple(unicodedata.normalize("NFC", written[place]) for place in labels)
    return Columns(delimiter, file, split, labels, spelled)


def _first(names: Sequence[str], wanted: Sequence[str]) -> int | None:
    return next((names.index(name) for name in wanted if name in names), None)


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def _bad(name: str, detail: str, hint: str) -> Invalid:
    return Invalid(f"the manifest {name!r}: {detail}; {hint}", code="bad-manifest")
