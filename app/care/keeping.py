"""How files are kept that may be deleted at any moment, until they are in a backup."""

from __future__ import annotations

import itertools
import os
import shutil
from pathlib import Path

from app.care.checksums import copy, noted
from app.files.artifacts import Artifacts, is_name

_TRIES = 3
"""How often a file is fetched that was written anew meanwhile."""


class Keeper:
    """Gives files of an installation a second name in a directory, under which they stay whatever happens.

    Args:
        artifacts: the files.
        room: the directory.
    """

    def __init__(self, artifacts: Artifacts, room: Path) -> None:
        self._artifacts, self._room = artifacts, room
        self._numbers = itertools.count()
        self._fetched: dict[str, tuple[str, Path]] = {}
        """What was fetched from an object store, with its checksum there."""

    def keep(self, name: str) -> Path | None:
        """Return another name of a file; None where there is no such file."""
        if not is_name(name):  # a row that was damaged
            return None
        try:
            return self._fetch(name) if self._artifacts.shared else self._link(name)
        except FileNotFoundError:
            return None

    def _link(self, name: str) -> Path:
        path, link = self._artifacts.local_path(name), self._room / str(next(self._numbers))
        try:
            os.link(path, link)
        except FileNotFoundError:
            raise
        except OSError:  # a file system without hard links
            shutil.copyfile(path, link)
        return link

    def _fetch(self, name: str) -> Path:
        """Fetch a file, unless it is here as it is there."""
        for _ in range(_TRIES):
            there = noted(self._artifacts, name)
            here, path = self._fetched.get(name, ("", self._room))
            if here == there and path.is_file():
                return path
            path = self._room / str(next(self._numbers))
            with path.open("xb") as file:
                fetched = copy(self._artifacts.chunks(name), file)
            # where nothing says what it should be, it is what it is
            if there in (None, fetched):
                there = fetched
                break
        # what is not as it was written in the end is damaged: whoever has its checksum finds that
        self._fetched[name] = there or "", path
        return path
