"""The reader of archives of picture files: class folders, or a manifest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from statistics import median

import numpy as np

from app.datasets.readers.base import Item, Reader
from app.datasets.readers.find_manifest import FORMS, find_manifest
from app.datasets.readers.folders import Picture, find_classes
from app.datasets.readers.manifest import read_manifest
from app.datasets.readers.targets import count_strata, unfit
from app.datasets.readers.zip_file import ArchiveLimits, SafeZip
from app.errors import Invalid, TooLarge
from app.pictures.files import picture_size
from engine.recipe.targets import Target

_LOOKED_AT = 50
"""Pictures whose size is read, so that it takes no longer of many."""
_LOOKED_AT_BYTES = 16 << 20
"""Of one of these; larger ones are passed over."""


class PictureArchive(Reader):
    """A zip of picture files, checked when it is opened.

    Attributes:
        pictures: the files that have a label, class by class and in the order of their names.
    """

    format = "zip"

    def __init__(
        self, path: Path, limits: ArchiveLimits, *, at_least: int = 2, target: Target = "class"
    ) -> None:
        """Open and check an archive that must hold at least so many classes.

        Raises:
            Invalid: it is no zip archive, or holds a name, type or layout that is not taken.
            TooLarge: more entries or more unpacked bytes than the limits allow.
        """
        self._archive = SafeZip(path, limits)
        try:
            manifest = find_manifest(self._archive, target)
            if manifest is not None:
                layout = read_manifest(self._archive, manifest, at_least=at_least, target=target)
            elif target == "class":
                layout = find_classes(self._archive.members, at_least=at_least)
            else:
                raise unfit(f"the archive has no manifest with {target}", f"add one: {FORMS[target]}")
        except BaseException:
            self._archive.close()
            raise
        self.target = target
        self.classes, self.pictures = layout.classes, layout.pictures
        self.skipped, self.notes = layout.skipped, layout.notes
        labels = np.array([picture.label for picture in self.pictures], np.int64)
        self.counts = count_strata(labels, len(self.classes), target)
        self.splits = frozenset(picture.split for picture in self.pictures if picture.split is not None)

    def close(self) -> None:
        """Close the archive."""
        self._archive.close()

    def read(self, picture: Picture) -> bytes:
        """Unpack one file into memory.

        Raises:
            Invalid: it is damaged, or is not what the directory says.
            TooLarge: it holds more than the limit; no more than that was unpacked.
        """
        return self._archive.read(picture.member)

    def shorter_side(self) -> int | None:
        """Look at some of the pictures, spread over all classes: those of an archive come from a few cameras."""
        sides = []
        for picture in self.pictures[:: len(self.pictures) // _LOOKED_AT + 1]:
            with suppress(Invalid, TooLarge):
                size = picture_size(self._archive.read(picture.member, _LOOKED_AT_BYTES))
                sides += [min(size)] if size else []
        return round(median(sides)) if sides else None

    def items(self) -> Iterator[Item]:
        """Read the files one by one."""
        for picture in self.pictures:
            content: bytes | Invalid | TooLarge
            try:
                content = self.read(picture)
            except (Invalid, TooLarge) as error:
                content = error
            yield Item(picture.name, picture.label, picture.split, content, picture.target, picture.name)
