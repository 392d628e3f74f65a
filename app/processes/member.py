"""What a serving process has of its own, and what it shares with the others of its data directory."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from app.files.locks import FileLock, read_holder
from app.processes.wake import Wake
from app.settings import SettingsError

LOCK_FILE = "server.lock"
READY = b"ready\n"
"""What a process says to its parent once it listens."""
_ORPHAN_SECONDS = 10.0
_RETRY_SECONDS = 0.1


class Handed(BaseModel):
    """What a parent hands to a process that it starts: open files by their numbers, and which process it is."""

    number: int
    first: bool
    listener: int
    lock: int
    wake_reader: int
    wake_writer: int
    channel: int

    def descriptors(self) -> tuple[int, ...]:
        """Return the open files."""
        return self.listener, self.lock, self.wake_reader, self.wake_writer, self.channel


@dataclass(frozen=True)
class Member:
    """One of the processes that serve a data directory.

    Attributes:
        lock: that of the data directory, held as long as any of them lives.
        wake: how each of them tells the one that runs jobs that there is something to do.
        number: which one it is, from 0; who is started in place of one that has died gets its number.
        first: whether no other has served before it, so that it can put the directory in order.
    """

    lock: FileLock
    wake: Wake
    number: int = 0
    first: bool = True

    @classmethod
    def alone(cls, data_dir: Path) -> Member:
        """Take a data directory for one process.

        Raises:
            SettingsError: it cannot be used, or another server has it.
        """
        return cls(take(data_dir), Wake.make())

    @classmethod
    def child(cls, handed: Handed, data_dir: Path) -> Member:
        """Take over what a parent has handed down."""
        lock = FileLock.adopt(data_dir / LOCK_FILE, handed.lock)
        return cls(lock, Wake(handed.wake_reader, handed.wake_writer), handed.number, handed.first)

    def leave(self) -> None:
        """Let go of what was shared."""
        self.wake.close()
        self.lock.release()


def take(data_dir: Path) -> FileLock:
    """Take a data directory; it is made where there is none.

    Raises:
        SettingsError: it cannot be used, or another server has it.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = FileLock(data_dir / LOCK_FILE)
        taken = lock.acquire() or _acquire_from_orphans(lock)
    except OSError as error:
        raise SettingsError(
            f"the data directory {data_dir} cannot be used: {error.strerror}. "
            "Name another one in CONVSERVE_DATA_DIR, or make it writable for this user"
        ) from error
    if not taken:
        holder = read_holder(lock.path)
        who = f"process {holder}" if holder else "another process"
        raise SettingsError(
            f"the data directory {data_dir} is in use by {who}: a data directory has one server. "
            "Stop that one, or name another directory in CONVSERVE_DATA_DIR"
        )
    lock.write_holder()
    return lock


def _acquire_from_orphans(lock: FileLock) -> bool:
    """Take a lock whose holder is dead and whose children are about to see it."""
    deadline = time.monotonic() + _ORPHAN_SECONDS
    while _is_gone(read_holder(lock.path)) and time.monotonic() < deadline:
        if lock.acquire(_RETRY_SECONDS):
            return True
    return False


def _is_gone(pid: int | None) -> bool:
    if pid is None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
