"""Copies of files on this machine, each under the SHA-256 of its bytes, and no more of them than fit.

An entry never changes. Whoever has taken one holds a shared lock on it, so that none goes that is in use, whichever
process uses it; what somebody has still mapped when its lock is let go stays readable all the same.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from app.files.artifacts import begin_file
from app.files.volume import check_free, free_bytes
from app.log import Log

log = Log(__name__)

_PART = "part-"
"""How the name begins of what is still being fetched."""
_PIECE = 16 << 20
"""Bytes that are asked for with one request: what is lost of a download that breaks off, at most."""
_MOST_PINS = 256

Read = Callable[[int, int], bytes]
"""Returns the bytes of a file from one place to before another."""


class Cache:
    """The copies in one directory; safe to use by several threads, and by several processes.

    Args:
        folder: where they are.
        most_bytes: how much all of them may take; those used longest ago go first.
        least_free: bytes that are to stay free on the disk.
        pin_seconds: for how long after it was taken an entry stays for certain.
    """

    def __init__(self, folder: Path, most_bytes: int, least_free: int, pin_seconds: float) -> None:
        self._folder, self._most_bytes, self._least_free = folder, most_bytes, least_free
        self._pin_seconds = pin_seconds
        self._lock = threading.Lock()
        self._pins: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._checked: set[tuple[int, int]] = set()
        """The inodes whose bytes this process has seen to be right, with the time that they were written."""

    def take(self, sha256: str, size: int, read: Read) -> Path | None:
        """Return the copy of a file, fetched where there is none; of several who want it one fetches it.

        Args:
            sha256: of its bytes.
            size: how many there are.
            read: fetches some of them.

        Returns:
            None where what is fetched is not what its checksum says.

        Raises:
            DiskFull: there is no room for it.
            OSError: it cannot be read, or not be written here.
        """
        path = self._folder / sha256
        while not self._pin(sha256):
            if not self._fetch(sha256, size, read):
                return None
        with suppress(FileNotFoundError):
            about = path.stat()
            # the time of its last use; that of its writing says that nobody has written to it since
            os.utime(path, ns=(time.time_ns(), about.st_mtime_ns))
        return path

    @contextmanager
    def new_file(self) -> Iterator[IO[bytes]]:
        """Open a file that becomes an entry by `keep`, or is gone."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path, file = begin_file(self._folder / "new")
        try:
            with file:
                yield file
        finally:
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def keep(self, file: Path, sha256: str) -> None:
        """Make an entry of a file of this disk, which is gone from where it was."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        file.replace(self._folder / sha256)
        descriptor = os.open(self._folder / sha256, os.O_RDONLY)
        self._checked.add(_mark(descriptor))
        os.close(descriptor)
        self._make_room(0)

    def bytes(self) -> int:
        """Return what all of it takes."""
        return sum(size for _, size, _ in self._entries())

    def close(self) -> None:
        """Let go of all entries."""
        with self._lock:
            for descriptor, _ in self._pins.values():
                os.close(descriptor)
            self._pins.clear()

    def _pin(self, sha256: str) -> bool:
        """Hold an entry that is there and whole."""
        with self._lock:
            self._let_go()
            held = self._pins.get(sha256)
            if held is not None and _is(self._folder / sha256, held[0]):
                self._pins[sha256] = held[0], time.monotonic()
                self._pins.move_to_end(sha256)
                return True
        try:
            descriptor = os.open(self._folder / sha256, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            if not _is(self._folder / sha256, descriptor):  # it has just made room for others
                os.close(descriptor)
                return False
            if not self._is_whole(descriptor, sha256):
                log.error("cached_file_damaged", sha256=sha256)
                (self._folder / sha256).unlink(missing_ok=True)
                os.close(descriptor)
                return False
        except BaseException:
            os.close(descriptor)
            raise
        with self._lock:
            before = self._pins.pop(sha256, None)
            self._pins[sha256] = descriptor, time.monotonic()
        if before is not None:
            os.close(before[0])
        return True

    def _is_whole(self, descriptor: int, sha256: str) -> bool:
        mark = _mark(descriptor)
        if mark in self._checked:
            return True
        with os.fdopen(os.dup(descriptor), "rb") as file:
            file.seek(0)
            whole = hashlib.file_digest(file, "sha256").hexdigest() == sha256
        if whole:
            self._checked.add(mark)
        return whole

    def _let_go(self) -> None:
        """Let entries go that were taken long ago."""
        latest = time.monotonic() - self._pin_seconds
        for sha256, (descriptor, taken) in list(self._pins.items()):
            if len(self._pins) < _MOST_PINS and taken > latest:
                break
            os.close(descriptor)
            del self._pins[sha256]

    def _fetch(self, sha256: str, size: int, read: Read) -> bool:
        """Fetch an entry unless somebody else just has; tell whether it is right to look again."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path, part = self._folder / sha256, self._folder / f"{_PART}{sha256}"
        with part.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # held by who fetches it
            if not _is(part, file.fileno()):
                return True
            if path.exists():
                part.unlink()
                return True
            begun = file.seek(0, os.SEEK_END)
            try:
                self._make_room(max(0, size - begun))
                _fill(file, begun, size, read)
            except FileNotFoundError:  # deleted meanwhile
                part.unlink()
                return False
            file.seek(0)
            if hashlib.file_digest(file, "sha256").hexdigest() == sha256:
                part.replace(path)
                self._checked.add(_mark(file.fileno()))
                return True
            part.unlink()
            # what was there of it may be what a power cut has left
            return begun > 0

    def _make_room(self, size: int) -> None:
        """Let the entries go that were used longest ago, until so many bytes more fit; those in use stay.

        Raises:
            DiskFull: there is no room on the disk for that.
        """
        entries = sorted(self._entries())
        over = max(
            sum(held for _, held, _ in entries) + size - self._most_bytes,
            self._least_free + size - free_bytes(self._folder),
        )
        for _, held, path in entries:
            if over <= 0:
                break
            if _remove_unused(path):
                over -= held
        if size:
            check_free(self._folder, self._least_free, size)

    def _entries(self) -> Iterator[tuple[float, int, Path]]:
        """Yield when each was last used, its size and where it is."""
        if not self._folder.is_dir():
            return
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):
                about = path.stat()
                yield about.st_atime, about.st_size, path


def _fill(file: IO[bytes], begun: int, size: int, read: Read) -> None:
    """Write to a file what is missing of it."""
    while begun < size:
        piece = read(begun, min(size, begun + _PIECE))
        if not piece:
            return
        file.write(piece)
        file.flush()
        begun += len(piece)


def _mark(descriptor: int) -> tuple[int, int]:
    about = os.fstat(descriptor)
    return about.st_ino, about.st_mtime_ns


def _is(path: Path, descriptor: int) -> bool:
    """Tell whether an open file is the one of a name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _remove_unused(path: Path) -> bool:
    """Remove a file unless somebody holds it."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
