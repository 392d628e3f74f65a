"""Locks between processes that the operating system releases when their holder dies, however it dies.

They are `flock(2)` locks: they belong to the open file, not to the process, so that a lock can be taken
before a process is started and handed to it, and two openings in one process exclude each other as well.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType

_RETRY_SECONDS = 0.05


class FileLock:
    """An exclusive lock on a file, which holds the process id of who has it.

    Attributes:
        path: the file; made when the lock is first taken and never removed, because a lock on a
            removed file excludes nobody.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    @classmethod
    def adopt(cls, path: Path, descriptor: int) -> FileLock:
        """Take over a lock that the parent process took and handed down as an open file.

        Raises:
            OSError: the descriptor is not open.
        """
        # Whatever this process starts must not keep the lock alive after it.
        os.set_inheritable(descriptor, False)
        lock = cls(path)
        lock._descriptor = descriptor
        return lock

    @property
    def held(self) -> bool:
        """Whether this object has the lock."""
        return self._descriptor is not None

    def fileno(self) -> int:
        """Return the open file, for handing the lock to a new process.

        Raises:
            ValueError: the lock is not held.
        """
        if self._descriptor is None:
            raise ValueError(f"the lock {self.path} is not held")
        return self._descriptor

    def acquire(self, timeout: float = 0.0) -> bool:
        """Try to take the lock for at least this many seconds; the file names nobody afterwards.

        Returns:
            Whether it is held now.
        """
        if self._descriptor is not None:
            return True
        deadline = time.monotonic() + timeout
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            while not _try_lock(descriptor, fcntl.LOCK_EX):
                if time.monotonic() >= deadline:
                    os.close(descriptor)
                    return False
                time.sleep(_RETRY_SECONDS)
            # Written over, not cut off: on a full disk the block might not be had again.
            os.pwrite(descriptor, b"\n" * os.fstat(descriptor).st_size, 0)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    def write_holder(self, *others: int) -> None:
        """Write who has the lock into the file: this process, and others that it was handed to."""
        content = "".join(f"{pid}\n" for pid in (os.getpid(), *others)).encode()
        os.pwrite(self.fileno(), content, 0)
        os.ftruncate(self.fileno(), len(content))

    def mark(self, word: str) -> None:
        """Leave a word of small letters behind the process id, which stays until somebody else takes the lock.

        It lies in the block that the file has already: there is room for it on a disk that is full.

        Raises:
            OSError: the file cannot be written at all.
        """
        os.pwrite(self.fileno(), f"{word}\n".encode(), os.fstat(self.fileno()).st_size)

    def release(self) -> None:
        """Close our opening; a process that the lock was handed to keeps it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> FileLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def is_locked(path: Path) -> bool:
    """Tell whether somebody holds the lock; a file that does not exist is not locked."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        # Shared, so that two who only look do not see each other.
        return not _try_lock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def read_mark(path: Path) -> str | None:
    """Return the word that the last who had a lock has left, None where there is none; see `FileLock.mark`."""
    words = _content(path)
    return words[-1] if words and words[-1].isalpha() else None


def lock_open(descriptor: int) -> bool:
    """Lock a file that is open, until it is closed, and tell whether nobody else has; nothing is written to it."""
    return _try_lock(descriptor, fcntl.LOCK_EX)


def read_holders(path: Path) -> list[int]:
    """Return the process ids in a lock's file: who took it first, then those it was handed to; none (yet) is empty."""
    return [int(word) for word in _content(path) if word.isdigit()]


def _content(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").split()
    except (FileNotFoundError, UnicodeDecodeError):
        return []


def read_holder(path: Path) -> int | None:
    """Return the process id of who took a lock, or None where there is none (yet)."""
    return next(iter(read_holders(path)), None)


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
