"""A CSV manifest in an archive: which file shows what, `file,label` or `file,label,split`."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterator, Sequence

from app.datasets.readers.base import SPLIT_WORDS, Skipped, check_classes
from app.datasets.readers.folders import Layout, Picture
from app.datasets.readers.zip_file import MAX_NAME, Member, SafeZip
from app.errors import Invalid

MAX_BYTES = 64 << 20
_NAMES = ("manifest.csv", "labels.csv")
_DELIMITERS = (",", ";", "\t")
_HEADER_BYTES = 4096
_HINT = "the manifest's first line names its columns: file,label or file,label,split"


def find_manifest(archive: SafeZip) -> Member | None:
    """Return the CSV file that says what the others show, if there is one: one with the columns file and label.

    It lies at the top or in the one top folder, is called manifest.csv or labels.csv, or is the only one.
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
        if _columns(_first_line(archive, member)) is not None:
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


def read_manifest(archive: SafeZip, manifest: Member, *, at_least: int = 2) -> Layout:
    """Label the files of an archive by its manifest; names in it are relative to the manifest.

    Raises:
        Invalid: it is no CSV in UTF-8, or has a line without a file or label or with another word for a split.
    """
    files = {member.name: member for member in archive.members if not member.info.is_dir()}
    folder = manifest.name.rpartition("/")[0]
    del files[manifest.name]
    labelled: dict[str, tuple[str, int | None]] = {}
    skipped = []
    for line, name, label, split in _rows(archive.read(manifest, MAX_BYTES), manifest.name):
        path = f"{folder}/{name}" if folder else name
        if path not in files:
            skipped.append(
                Skipped(path, f"line {line} of the manifest names it, but it is not in the archive")
            )
        elif path in labelled:
            skipped.append(Skipped(path, f"line {line} of the manifest names it again", "duplicate"))
        else:
            labelled[path] = (label, split)
    skipped += [
        Skipped(name, "the manifest does not name it") for name in sorted(files) if name not in labelled
    ]
    classes = tuple(sorted({label for label, _ in labelled.values()}))
    if not classes:
        raise _bad(manifest.name, "it names no file of the archive", "write names relative to the manifest")
    check_classes(len(classes), "the manifest", _HINT, at_least)
    index = {name: number for number, name in enumerate(classes)}
    pictures = [
        Picture(name, index[label], split, files[name]) for name, (label, split) in sorted(labelled.items())
    ]
    pictures.sort(key=lambda picture: picture.label)
    return Layout(classes, tuple(pictures), tuple(skipped))


def _rows(content: bytes, name: str) -> Iterator[tuple[int, str, str, int | None]]:
    """Yield line number, file, label and split of each row."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _bad(name, f"it is not UTF-8: {error.reason}", "save it as UTF-8") from None
    found = _columns(text.partition("\n")[0])
    if found is None:
        raise _bad(name, "its first line does not name the columns file and label", _HINT)
    delimiter, columns = found
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for number, row in enumerate(reader):
            if number == 0 or not any(cell.strip() for cell in row):
                continue
            yield _row(row, columns, name, reader.line_num)
    except csv.Error as error:
        raise _bad(name, f"line {reader.line_num} is no CSV: {error}", _HINT) from None


def _row(
    row: Sequence[str], columns: dict[str, int], name: str, line: int
) -> tuple[int, str, str, int | None]:
    cells = {column: row[place].strip() if place < len(row) else "" for column, place in columns.items()}
    for column in ("file", "label"):
        if not cells[column]:
            raise _bad(name, f"line {line} has no {column}", "fill it in, or leave the line out")
    label = unicodedata.normalize("NFC", cells["label"])
    if len(label) > MAX_NAME or any(unicodedata.category(mark) in ("Cc", "Cs") for mark in label):
        raise _bad(name, f"line {line} has an unusable label", f"use at most {MAX_NAME} printable characters")
    word = cells.get("split", "").lower()
    if word and word not in SPLIT_WORDS:
        raise _bad(name, f"line {line} says split {word[:40]!r}", "write train, dev or test")
    file = unicodedata.normalize("NFC", cells["file"].replace("\\", "/")).removeprefix("./")
    return line, file, label, SPLIT_WORDS[word] if word else None


def _columns(header: str) -> tuple[str, dict[str, int]] | None:
    """Return the delimiter and where the columns are, or None when file and label are not among them."""
    for delimiter in _DELIMITERS:
        names = [name.strip().strip('"').lower() for name in header.strip().split(delimiter)]
        if "file" in names and "label" in names:
            return delimiter, {
                name: names.index(name) for name in ("file", "label", "split") if name in names
            }
    return None


def _bad(name: str, detail: str, hint: str) -> Invalid:
    return Invalid(f"the manifest {name!r}: {detail}; {hint}", code="bad-manifest")
