"""Where backups are written to and read from: what a directory of backups and a single file have in common."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Protocol

from app.care.checksums import copy
from app.care.errors import BadBackup
from app.care.manifest import Entry, Manifest
from app.files.artifacts import Written

CHUNK = 1 << 20


class Target(Protocol):
    """Where a backup is written to.

    Attributes:
        added: how many files were added that were not there already.
        added_bytes: their size.
    """

    added: int
    added_bytes: int

    def has(self, file: Written) -> bool:
        """Tell whether a file of this checksum and size is there already, so that it need not be read."""

    def add(self, name: str, path: Path, size: int) -> Written:
        """Add the first `size` bytes of a file, and return what was written of it, as it was read again.

        Raises:
            OSError: it cannot be written.
        """

    def finish(self, manifest: Manifest) -> str:
        """Make what was added a backup, and return its name. Before this there is none."""


class Source(Protocol):
    """Where backups are read from: data from outside, of which nothing is believed."""

    def names(self) -> list[str]:
        """Return the names of the backups, the oldest first."""

    def manifest(self, name: str) -> Manifest:
        """Return what a backup consists of.

        Raises:
            BadBackup: it cannot be read, or is damaged.
        """

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        """Return what is in a file, piece by piece, never more than its size.

        Raises:
            BadBackup: it is not there, or has another size.
        """


def read_verified(source: Source, entry: Entry, file: IO[bytes] | None = None) -> None:
    """Read a file of a backup to its end, and write it to another if one is given.

    Raises:
        BadBackup: it is not as it was written.
    """
    if copy(source.chunks(entry), file) != entry.sha256:
        raise BadBackup(f"{entry.name} in the backup is not as it was written: its checksum is another")


def take(file: IO[bytes], size: int, name: str) -> Iterator[bytes]:
    """Return the next `size` bytes of a file, piece by piece.

    Raises:
        BadBackup: there are fewer.
    """
    while size:
        chunk = file.read(min(size, CHUNK))
        if not chunk:
            raise BadBackup(f"{name} in the backup is cut short")
        size -= len(chunk)
        yield chunk


def open_plain(path: Path) -> IO[bytes]:
    """Open a file for reading that is neither a link nor anything but a file.

    Raises:
        OSError: it is something else, or not there.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path} is no file")
    return os.fdopen(descriptor, "rb")
