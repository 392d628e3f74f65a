"""Where the files of an upload go while they arrive."""

from __future__ import annotations

import fcntl
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import IO, ClassVar, Protocol, TypeVar

from app.files.artifacts import sync_directory

T_co = TypeVar("T_co", covariant=True)


class Sink(Protocol[T_co]):
    """Where the bytes of one file go; called from threads, one call at a time.

    Attributes:
        in_memory: whether that takes so little that small files need no thread.
    """

    in_memory: ClassVar[bool]

    def write(self, data: bytes) -> None:
        """Take some more bytes."""

    def finish(self) -> T_co:
        """Take note that this was all, and return what became of it."""

    def discard(self) -> None:
        """Leave nothing behind, whether finished or not."""


class MemorySink:
    """Keeps a file in memory; for bodies with a small limit."""

    in_memory: ClassVar[bool] = True

    def __init__(self) -> None:
        self._data = bytearray()

    def write(self, data: bytes) -> None:
        """Take some more bytes."""
        self._data += data

    def finish(self) -> bytes:
        """Return the whole file."""
        return bytes(self._data)

    def discard(self) -> None:
        """Forget it."""
        self._data.clear()


class DiskSink:
    """Writes a file into a folder, under a hidden name until it is whole and on the disk."""

    in_memory: ClassVar[bool] = False

    def __init__(self, folder: Path) -> None:
        token = secrets.token_hex(16)
        self._path = folder / token
        self._temporary = folder / f".tmp-{token}"
        self._file: IO[bytes] | None = None

    def write(self, data: bytes) -> None:
        """Take some more bytes."""
        self._open().write(data)

    def finish(self) -> Path:
        """Make the file visible under a random name, and return its path."""
        with self._open() as file:
            file.flush()
            os.fsync(file.fileno())
        self._temporary.replace(self._path)
        sync_directory(self._path.parent)
        return self._path

    @classmethod
    def save(cls, folder: Path, content: bytes) -> Path:
        """Write a whole file into a folder, and return its path; nothing is left of it if that fails."""
        sink = cls(folder)
        try:
            sink.write(content)
            return sink.finish()
        except BaseException:
            sink.discard()
            raise

    def discard(self) -> None:
        """Remove the file."""
        if self._file is not None:
            # it writes what waits, for which there may be no room
            with suppress(OSError):
                self._file.close()
        self._temporary.unlink(missing_ok=True)
        self._path.unlink(missing_ok=True)

    def _open(self) -> IO[bytes]:
        if self._file is None:
            self._temporary.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._temporary.open("xb")
            # Who cleans up sees by it that the receiver of a slow upload is still there.
            fcntl.flock(self._file, fcntl.LOCK_EX)
        return self._file
