"""Class folders in an archive: cat/1.png, dog/7.jpg, or with the splits above: train/cat/1.png, test/dog/7.jpg."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.datasets.readers.base import SPLIT_WORDS, check_classes
from app.datasets.readers.left_out import LeftOut, Skipped
from app.datasets.readers.zip_file import Member
from app.errors import Invalid
from app.text import natural

_PACKED = (".zip", ".npz", ".tar", ".gz", ".tgz", ".7z", ".rar")
_FEW = 3
LAYOUT = "the archive must hold one folder per class with the pictures directly in it: cat/1.png, dog/7.jpg"


@dataclass(frozen=True, slots=True)
class Picture:
    """A labelled file, see `Item`; it may turn out to be no picture."""

    name: str
    label: int
    split: int | None
    member: Member
    target: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """How the files of an archive are labelled; `notes` say what was taken for what, see `Reader`."""

    classes: tuple[str, ...]
    pictures: tuple[Picture, ...]
    skipped: LeftOut
    notes: tuple[str, ...] = ()


def find_classes(members: Sequence[Member], *, at_least: int = 2) -> Layout:
    """Sort the files of an archive into class folders.

    Args:
        members: of the archive.
        at_least: how many classes there must be; 1 when there are others already.

    Raises:
        Invalid, TooLarge: there are no class folders, too few or too many, or one without a file.
    """
    depth = common_folders(members)
    with_splits = _has_splits(members, depth)
    folders: dict[str, list[tuple[Member, int | None]]] = {}
    skipped = LeftOut()
    for member in members:
        inner = member.parts[depth:]
        split = None
        if with_splits and inner:
            split = SPLIT_WORDS.get(inner[0].lower())
            if split is None and len(inner) > 1:
                # A file beside the split folders has no split, and its folder is no class of theirs.
                if not member.is_folder:
                    skipped.add(Skipped(member.name, "it lies in no split folder, as others do"))
                continue
            inner = inner if split is None else inner[1:]
        if member.is_folder:
            if len(inner) == 1 and (not with_splits or split is not None):
                folders.setdefault(inner[0], [])
        elif len(inner) < 2:
            where = "it lies in no class folder"
            if split is not None:
                where += f": {member.parts[depth]} is a split, and nothing says what the picture shows"
            skipped.add(Skipped(member.name, where))
        elif len(inner) > 2:
            raise _too_deep(member, inner)
        else:
            folders.setdefault(inner[0], []).append((member, split))
    _check(folders, at_least, [member.name for member in members if not member.is_folder])
    classes = tuple(sorted(folders, key=natural))
    pictures = tuple(
        Picture(member.name, label, split, member)
        for label, folder in enumerate(classes)
        for member, split in folders[folder]
    )
    return Layout(classes, pictures, skipped)


def common_folders(members: Sequence[Member]) -> int:
    """Return 1 when everything that could be a picture lies below one common top folder, else 0."""
    inside = [member.parts for member in members if len(member.parts) > 1 and not member.is_folder]
    tops = {parts[0] for parts in inside}
    common = len(tops) == 1 and any(len(parts) > 2 for parts in inside)
    return 1 if common else 0


def _has_splits(members: Sequence[Member], depth: int) -> bool:
    """Tell whether train, dev or test come above the classes: nothing else holds folders with files in them."""
    tops = {
        member.parts[depth].lower()
        for member in members
        if not member.is_folder and len(member.parts) > depth + 2
    }
    return bool(tops) and tops <= SPLIT_WORDS.keys()


def _only(files: Sequence[str]) -> str:
    """Say what an archive holds instead of class folders."""
    if not files:
        return ", nor any file"
    packed = [name for name in files if name.lower().endswith(_PACKED)]
    if packed and len(files) <= _FEW:
        return f", but another archive; send {packed[0]!r} itself, or put its contents into this one"
    return f", only {', '.join(map(repr, files[:_FEW]))}{' and others' if len(files) > _FEW else ''}"


def _too_deep(member: Member, inner: tuple[str, ...]) -> Invalid:
    hint = LAYOUT
    if inner[1].lower() in SPLIT_WORDS:
        hint = f"splits come above classes: {inner[1]}/{inner[0]}/{inner[2]}"
    return Invalid(f"{member.name!r} lies deeper than in a class folder; {hint}", code="unusable-archive")


def _check(folders: dict[str, list[tuple[Member, int | None]]], at_least: int, files: Sequence[str]) -> None:
    if not folders:
        raise Invalid(f"the archive holds no class folder{_only(files)}; {LAYOUT}", code="unusable-archive")
    if len(folders) > 1 and all(folder.lower() in SPLIT_WORDS for folder in folders):
        listed = ", ".join(sorted(folders))
        raise Invalid(
            f"the folders {listed} are splits, not classes, and the pictures lie directly in them; put them into class "
            "folders, train/cat/1.png, or add a manifest.csv with the columns file,label,split",
            code="unusable-archive",
        )
    empty = [folder for folder, files in folders.items() if not files]
    if empty:
        raise Invalid(f"the class folder {empty[0]!r} holds no file; {LAYOUT}", code="unusable-archive")
    check_classes(len(folders), "the archive", LAYOUT, at_least)
