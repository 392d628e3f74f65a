"""A table in an archive that says which file shows what: `file,label`, `file,label,split`, or `file` and numbers."""

from __future__ import annotations

import csv
import math
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from app.datasets.readers.base import SPLIT_WORDS, check_classes
from app.datasets.readers.find_manifest import Manifest
from app.datasets.readers.folders import Layout, Picture
from app.datasets.readers.left_out import LeftOut, Skipped
from app.datasets.readers.targets import Targets, check_size, strata
from app.datasets.readers.zip_file import Member, SafeZip
from app.errors import TooLarge
from app.text import MAX_NAME, is_name, natural, shown
from engine.recipe.targets import Target

SEPARATOR = "|"
"""Between the labels of a picture."""
_SHOWN = 100
_FEW_LINES, _LINES_EACH = 100_000, 4
"""Lines that any manifest may have, and for each file of the archive: a list of all files comes with some of them."""
_GREATEST = float(np.finfo(np.float32).max)

_Label = str | tuple[str, ...] | Targets
"""What a line says of its file: a class, labels or values."""


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    file: str
    split: int | None
    label: _Label


def read_manifest(
    archive: SafeZip, manifest: Manifest, *, at_least: int = 2, target: Target = "class"
) -> Layout:
    """Label the files of an archive by its manifest; names in it are relative to the manifest, or to the archive.

    Raises:
        Invalid: it has a line without a file, with another word for a split, or that says nothing of use.
        TooLarge: it says more than is held.
    """
    files = {member.name: member for member in archive.members if not member.is_folder}
    del files[manifest.name]
    folder = manifest.name.rpartition("/")[0]
    named: dict[str, _Row] = {}
    skipped = LeftOut()
    most = max(_FEW_LINES, _LINES_EACH * len(files))
    for number, row in enumerate(_rows(manifest, target)):
        if number == most:
            raise TooLarge(
                f"the manifest {manifest.name!r} has more than {most} lines for the {len(files)} files of the archive; "
                "leave out those of files that are not in it"
            )
        path = f"{folder}/{row.file}" if folder and f"{folder}/{row.file}" in files else row.file
        if path not in files:
            path = f"{folder}/{row.file}" if folder else row.file
            skipped.add(
                Skipped(path, f"line {row.line} of {manifest.name} names it, but it is not in the archive")
            )
        elif path in named:
            skipped.add(_again(path, row, named[path], manifest.name))
        else:
            named[path] = row
    first = next((file.name for file in skipped), None)
    for name in sorted(files):
        if name not in named:
            skipped.add(Skipped(name, f"{manifest.name} does not name it"))
    if not named:
        said = (
            "it has no line below its columns"
            if first is None
            else f"its first name is {shown(first, _SHOWN)!r}"
        )
        raise manifest.bad(
            f"it names no file of the archive ({said})",
            "write names with their extensions, relative to the manifest",
        )
    ordered = dict(sorted(named.items()))
    if target == "class":
        classes, pictures = _classes(ordered, files, manifest, at_least)
    else:
        classes, pictures = _targets(ordered, files, manifest, target)
    pictures.sort(key=lambda picture: picture.label)
    return Layout(classes, tuple(pictures), skipped, (manifest.reading,))


def _again(path: str, row: _Row, first: _Row, manifest: str) -> Skipped:
    """Say that a file is named twice, and whether the lines contradict each other."""
    same = np.array_equal(row.label, first.label)
    if same:
        return Skipped(path, f"line {row.line} of {manifest} names it again", "duplicate")
    reason = (
        f"line {row.line} of {manifest} names it again, and says something else of it than line {first.line}"
    )
    return Skipped(path, reason, "contradiction")


def _classes(
    named: dict[str, _Row], files: dict[str, Member], manifest: Manifest, at_least: int
) -> tuple[tuple[str, ...], list[Picture]]:
    classes = tuple(sorted({str(row.label) for row in named.values()}, key=natural))
    check_classes(len(classes), f"the manifest {manifest.name!r}", manifest.form, at_least)
    index = {name: number for number, name in enumerate(classes)}
    return classes, [
        Picture(path, index[str(row.label)], row.split, files[path]) for path, row in named.items()
    ]


def _targets(
    named: dict[str, _Row], files: dict[str, Member], manifest: Manifest, target: Target
) -> tuple[tuple[str, ...], list[Picture]]:
    """Return the names of labels or values, and the pictures with theirs."""
    if target == "values":
        names = manifest.columns.label_names
    else:
        names = tuple(sorted({str(label) for row in named.values() for label in row.label}, key=natural))
        if not names:
            raise manifest.bad("no line has a label", manifest.form)
    check_size(len(named), len(names), target)
    index = {name: number for number, name in enumerate(names)}
    targets = np.zeros((len(named), len(names)), np.float32)
    for number, row in enumerate(named.values()):
        if target == "values":
            targets[number] = row.label
        else:
            targets[number, [index[str(label)] for label in row.label]] = 1
    label = strata(targets, target).tolist()
    return names, [
        Picture(path, label[number], row.split, files[path], targets[number])
        for number, (path, row) in enumerate(named.items())
    ]


def _rows(manifest: Manifest, target: Target) -> Iterator[_Row]:
    """Yield the lines of a manifest as they are asked for."""
    try:
        for line, cells in manifest.table.rows(manifest.columns.delimiter):
            yield _row(cells, manifest, line, target)
    except csv.Error as error:
        raise manifest.bad(str(error), manifest.form) from None


def _row(cells: Sequence[str], manifest: Manifest, line: int, target: Target) -> _Row:
    def cell(place: int | None) -> str:
        return cells[place].strip() if place is not None and place < len(cells) else ""

    columns = manifest.columns
    if not cell(columns.file):
        raise manifest.bad(f"line {line} has no file", "fill it in, or leave the line out")
    label = _READ[target](tuple(map(cell, columns.labels)), manifest, line)
    word = cell(columns.split).lower()
    if word and word not in SPLIT_WORDS:
        raise manifest.bad(f"line {line} says split {word[:40]!r}", "write train, dev or test")
    file = unicodedata.normalize("NFC", cell(columns.file).replace("\\", "/")).removeprefix("./")
    return _Row(line, file, SPLIT_WORDS[word] if word else None, label)


def _read_class(cells: tuple[str, ...], manifest: Manifest, line: int) -> str:
    if not cells[0]:
        raise manifest.bad(f"line {line} has no label", "fill it in, or leave the line out")
    return _label(cells[0], manifest, line)


def _read_labels(cells: tuple[str, ...], manifest: Manifest, line: int) -> tuple[str, ...]:
    if not cells[0]:
        return ()
    labels = tuple(
        dict.fromkeys(_label(label.strip(), manifest, line) for label in cells[0].split(SEPARATOR))
    )
    if "" in labels:
        raise manifest.bad(
            f"line {line} has a label without a name", f"write names with one {SEPARATOR} between them"
        )
    return labels


def _read_values(cells: tuple[str, ...], manifest: Manifest, line: int) -> Targets:
    values = np.empty(len(cells), np.float32)
    for place, (column, text) in enumerate(zip(manifest.columns.label_names, cells, strict=True)):
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not abs(value) <= _GREATEST:
            shown = repr(text[:40]) if text else "nothing"
            raise manifest.bad(f"line {line} has {shown} as {column}", "write a finite number such as 0.5")
        values[place] = value
    return values


_READ: dict[Target, Callable[[tuple[str, ...], Manifest, int], _Label]] = {
    "class": _read_class,
    "labels": _read_labels,
    "values": _read_values,
}


def _label(text: str, manifest: Manifest, line: int) -> str:
    label = unicodedata.normalize("NFC", text)
    if label and not is_name(label):
        raise manifest.bad(
            f"line {line} has an unusable label", f"use at most {MAX_NAME} printable characters"
        )
    return label
