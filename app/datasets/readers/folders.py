"""Class folders in an archive: cat/1.png, dog/7.jpg, or with the splits above: train/cat/1.png, test/dog/7.jpg."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.datasets.readers.base import SPLIT_WORDS, Skipped, check_classes
from app.datasets.readers.zip_file import Member
from app.errors import Invalid

LAYOUT = "the archive must hold one folder per class with the pictures directly in it: cat/1.png, dog/7.jpg"


@dataclass(frozen=True, slots=True)
class Picture:
    """A file of which something is told, see `Item`; not yet known to be a picture."""

    name: str
    label: int
    split: int | None
    member: Member
    target: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """How the files of an archive are labelled."""

    classes: tuple[str, ...]
    pictures: tuple[Picture, ...]
    skipped: tuple[Skipped, ...]


def find_classes(members: Sequence[Member], *, at_least: int = 2) -> Layout:
    """Sort the files of an archive into class folders.

    Args:
        members: of the archive.
        at_least: how many classes there must be; 1 when there are others already.

    Raises:
        Invalid, TooLarge: there are no class folders, too few or too many, or one without a file.
    """
    depth = common_folders(members)
    splits = _has_splits(members, depth)
    folders: dict[str, list[tuple[Member, int | None]]] = {}
    skipped = []
    for member in members:
        inner = member.parts[depth:]
        split = None
        if splits and inner:
            # A lone file beside the split folders is what one beside the class folders is.
            split = SPLIT_WORDS.get(inner[0].lower())
            inner = inner[1:] if split is not None else inner
        if member.info.is_dir():
            if len(inner) == 1:
                folders.setdefault(inner[0], [])
        elif len(inner) < 2:
            skipped.append(Skipped(member.name, "it lies in no class folder"))
        elif len(inner) > 2:
            raise Invalid(
                f"{member.name!r} lies deeper than in a class folder; {LAYOUT}", code="unusable-archive"
            )
        else:
            folders.setdefault(inner[0], []).append((member, split))
    _check(folders, at_least)
    classes = tuple(sorted(folders))
    pictures = tuple(
        Picture(member.name, label, split, member)
        for label, folder in enumerate(classes)
        for member, split in folders[folder]
    )
    return Layout(classes, pictures, tuple(skipped))


def common_folders(members: Sequence[Member]) -> int:
    """Return 1 when everything that could be a picture lies below one common top folder, else 0."""
    inside = [member.parts for member in members if len(member.parts) > 1 and not member.info.is_dir()]
    tops = {parts[0] for parts in inside}
    common = len(tops) == 1 and any(len(parts) > 2 for parts in inside)
    return 1 if common else 0


def _has_splits(members: Sequence[Member], depth: int) -> bool:
    """Tell whether train, dev or test come above the classes: no file with a label lies anywhere else."""
    inside = [
        member.parts[depth:]
        for member in members
        if not member.info.is_dir() and len(member.parts) > depth + 1
    ]
    return bool(inside) and all(len(parts) > 2 and parts[0].lower() in SPLIT_WORDS for parts in inside)


def _check(folders: dict[str, list[tuple[Member, int | None]]], at_least: int) -> None:
    if not folders:
        raise Invalid(f"the archive holds no class folder; {LAYOUT}", code="unusable-archive")
    empty = [folder for folder, files in folders.items() if not files]
    if empty:
        raise Invalid(f"the class folder {empty[0]!r} holds no file; {LAYOUT}", code="unusable-archive")
    check_classes(len(folders), "the archive", LAYOUT, at_least)
