"""A CSV manifest in an archive: which file shows what, `file,label` or `file,label,split`, or `file` and numbers."""

from __future__ import annotations

import csv
import io
import math
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from app.datasets.readers.base import SPLIT_WORDS, Skipped, check_classes
from app.datasets.readers.folders import Layout, Picture
from app.datasets.readers.targets import Targets, check_size, strata
from app.datasets.readers.zip_file import MAX_NAME, Member, SafeZip
from app.errors import Invalid
from engine.recipe.targets import Target

MAX_BYTES = 64 << 20
SEPARATOR = "|"
"""Between the labels of a picture."""
FORMS: dict[Target, str] = {
    "class": "the manifest's first line names its columns: file,label or file,label,split",
    "labels": "manifest.csv begins with the line file,label or file,label,split; label holds names with | between "
    "them, or nothing",
    "values": "manifest.csv begins with a line of columns: file, perhaps split, and each value by its name",
}
_NAMES = ("manifest.csv", "labels.csv")
_DELIMITERS = (",", ";", "\t")
_HEADER_BYTES = 1 << 16
_GREATEST = float(np.finfo(np.float32).max)

_Told = str | tuple[str, ...] | Targets
"""What a line says of its file: a class, labels or values."""


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where the columns are; `told` are those that say what a picture shows."""

    delimiter: str
    file: int
    split: int | None
    told: tuple[int, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    file: str
    split: int | None
    told: _Told


def find_manifest(archive: SafeZip, target: Target = "class") -> Member | None:
    """Return the CSV file that says what the others show, if there is one: one with the columns file and label.

    For values it needs the column file and any other. It lies at the top or in the one top folder, is called
    manifest.csv or labels.csv, or is the only one.
    """
    files = [member for member in archive.members if not member.info.is_dir()]
    shallow = min((len(member.parts) for member in files), default=0)
    found = [
        member
        for member in files
        if member.parts[-1].lower().endswith(".csv") and len(member.parts) <= max(2, shallow)
    ]
    named = [member for member in found if member.parts[-1].lower() in _NAMES]
    for member in named or (found if len(found) == 1 else []):
        if _columns(_first_line(archive, member), target) is not None:
            return member
    return None


def _first_line(archive: SafeZip, member: Member) -> str:
    with archive.open(member) as stream:
        try:
            lines = stream.read(_HEADER_BYTES).decode("utf-8-sig", errors="replace").splitlines()
        # zipfile raises many kinds of error on damaged members; then it is no manifest.
        except Exception:
            lines = []
    return lines[0] if lines else ""


def read_manifest(
    archive: SafeZip, manifest: Member, *, at_least: int = 2, target: Target = "class"
) -> Layout:
    """Label the files of an archive by its manifest; names in it are relative to the manifest.

    Raises:
        Invalid: it is no CSV in UTF-8, or has a line without a file, with another word for a split, or that says
            nothing of use.
        TooLarge: it says more than is held.
    """
    files = {member.name: member for member in archive.members if not member.info.is_dir()}
    folder = manifest.name.rpartition("/")[0]
    del files[manifest.name]
    named: dict[str, _Row] = {}
    skipped = []
    columns, rows = _read(archive.read(manifest, MAX_BYTES), manifest.name, target)
    for row in rows:
        path = f"{folder}/{row.file}" if folder else row.file
        if path not in files:
            skipped.append(
                Skipped(path, f"line {row.line} of the manifest names it, but it is not in the archive")
            )
        elif path in named:
            skipped.append(Skipped(path, f"line {row.line} of the manifest names it again", "duplicate"))
        else:
            named[path] = row
    skipped += [Skipped(name, "the manifest does not name it") for name in sorted(files) if name not in named]
    if not named:
        raise _bad(manifest.name, "it names no file of the archive", "write names relative to the manifest")
    ordered = dict(sorted(named.items()))
    if target == "class":
        classes, pictures = _classes(ordered, files, at_least)
    else:
        classes, pictures = _targets(ordered, files, manifest.name, columns, target)
    pictures.sort(key=lambda picture: picture.label)
    return Layout(classes, tuple(pictures), tuple(skipped))


def _classes(
    named: dict[str, _Row], files: dict[str, Member], at_least: int
) -> tuple[tuple[str, ...], list[Picture]]:
    classes = tuple(sorted({str(row.told) for row in named.values()}))
    check_classes(len(classes), "the manifest", FORMS["class"], at_least)
    index = {name: number for number, name in enumerate(classes)}
    return classes, [
        Picture(path, index[str(row.told)], row.split, files[path]) for path, row in named.items()
    ]


def _targets(
    named: dict[str, _Row], files: dict[str, Member], manifest: str, columns: _Columns, target: Target
) -> tuple[tuple[str, ...], list[Picture]]:
    """Return the names of labels or values, and the pictures with theirs."""
    if target == "values":
        names = columns.names
    else:
        names = tuple(sorted({str(label) for row in named.values() for label in row.told}))
        if not names:
            raise _bad(manifest, "no line has a label", FORMS[target])
    check_size(len(named), len(names), target)
    index = {name: number for number, name in enumerate(names)}
    targets = np.zeros((len(named), len(names)), np.float32)
    for number, row in enumerate(named.values()):
        if target == "values":
            targets[number] = row.told
        else:
            targets[number, [index[str(label)] for label in row.told]] = 1
    label = strata(targets, target).tolist()
    return names, [
        Picture(path, label[number], row.split, files[path], targets[number])
        for number, (path, row) in enumerate(named.items())
    ]


def _read(content: bytes, name: str, target: Target) -> tuple[_Columns, Iterator[_Row]]:
    """Return the columns of a manifest, and its lines as they are asked for."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _bad(name, f"it is not UTF-8: {error.reason}", "save it as UTF-8") from None
    columns = _columns(text.partition("\n")[0], target)
    if columns is None:
        raise _bad(name, "its first line does not name the columns that are needed", FORMS[target])
    if len(set(columns.names)) != len(columns.names) or not all(map(_usable, columns.names)):
        raise _bad(name, "two columns have the same name, or one has none", FORMS[target])
    return columns, _rows(text, columns, name, target)


def _rows(text: str, columns: _Columns, name: str, target: Target) -> Iterator[_Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=columns.delimiter, strict=True)
    try:
        for number, row in enumerate(reader):
            if number == 0 or not any(cell.strip() for cell in row):
                continue
            yield _row(row, columns, name, reader.line_num, target)
    except csv.Error as error:
        raise _bad(name, f"line {reader.line_num} is no CSV: {error}", FORMS[target]) from None


def _row(cells: Sequence[str], columns: _Columns, name: str, line: int, target: Target) -> _Row:
    def cell(place: int | None) -> str:
        return cells[place].strip() if place is not None and place < len(cells) else ""

    if not cell(columns.file):
        raise _bad(name, f"line {line} has no file", "fill it in, or leave the line out")
    told = _READ[target](tuple(map(cell, columns.told)), columns, name, line)
    word = cell(columns.split).lower()
    if word and word not in SPLIT_WORDS:
        raise _bad(name, f"line {line} says split {word[:40]!r}", "write train, dev or test")
    file = unicodedata.normalize("NFC", cell(columns.file).replace("\\", "/")).removeprefix("./")
    return _Row(line, file, SPLIT_WORDS[word] if word else None, told)


def _read_class(cells: tuple[str, ...], columns: _Columns, name: str, line: int) -> str:
    if not cells[0]:
        raise _bad(name, f"line {line} has no label", "fill it in, or leave the line out")
    return _label(cells[0], name, line)


def _read_labels(cells: tuple[str, ...], columns: _Columns, name: str, line: int) -> tuple[str, ...]:
    if not cells[0]:
        return ()
    labels = tuple(dict.fromkeys(_label(label.strip(), name, line) for label in cells[0].split(SEPARATOR)))
    if "" in labels:
        raise _bad(
            name, f"line {line} has a label without a name", f"write names with one {SEPARATOR} between them"
        )
    return labels


def _read_values(cells: tuple[str, ...], columns: _Columns, name: str, line: int) -> Targets:
    values = np.empty(len(cells), np.float32)
    for place, (column, text) in enumerate(zip(columns.names, cells, strict=True)):
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not abs(value) <= _GREATEST:
            shown = repr(text[:40]) if text else "nothing"
            raise _bad(name, f"line {line} has {shown} as {column}", "write a finite number such as 0.5")
        values[place] = value
    return values


_READ: dict[Target, Callable[[tuple[str, ...], _Columns, str, int], _Told]] = {
    "class": _read_class,
    "labels": _read_labels,
    "values": _read_values,
}


def _label(text: str, name: str, line: int) -> str:
    label = unicodedata.normalize("NFC", text)
    if label and not _usable(label):
        raise _bad(name, f"line {line} has an unusable label", f"use at most {MAX_NAME} printable characters")
    return label


def _usable(name: str) -> bool:
    printable = not any(unicodedata.category(mark) in ("Cc", "Cs") for mark in name)
    return 0 < len(name) <= MAX_NAME and printable


def _columns(header: str, target: Target) -> _Columns | None:
    """Return the delimiter and where the columns are, or None when those that are needed are not among them."""
    for delimiter in _DELIMITERS:
        try:
            written = [name.strip() for name in next(csv.reader([header.strip()], delimiter=delimiter), [])]
        except csv.Error:
            continue
        names = [name.lower() for name in written]
        if "file" not in names:
            continue
        file, split = names.index("file"), names.index("split") if "split" in names else None
        if target == "values":
            told = tuple(place for place in range(len(names)) if place not in (file, split))
        else:
            told = (names.index("label"),) if "label" in names else ()
        if told:
            spelled = tuple(unicodedata.normalize("NFC", written[place]) for place in told)
            return _Columns(delimiter, file, split, told, spelled)
    return None


def _bad(name: str, detail: str, hint: str) -> Invalid:
    return Invalid(f"the manifest {name!r}: {detail}; {hint}", code="bad-manifest")
