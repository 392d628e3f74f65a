"""What a serving process has of its own, and what it shares with the others of its data directory."""

from __future__ import annotations

import os
import secrets
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from app.files.artifacts import LocalArtifacts
from app.files.faults import ObjectStoreFault, reason
from app.files.locks import FileLock, is_locked, read_holder, read_holders
from app.files.paths import RESTORING
from app.processes.wake import Wake
from app.settings import SettingsError

LOCK_FILE = "server.lock"
_TOKEN_FILE = "server.token"  # noqa: S105 - no secret: it tells servers apart
READY = b"ready\n"
"""What a process says to its parent once it listens."""
_ORPHAN_SECONDS = 10.0
_RETRY_SECONDS = 0.1


class Handed(BaseModel):
    """What a parent hands to a process that it starts: open files by their numbers, and which process it is."""

    number: int
    first: bool
    parent: int
    listener: int
    lock: int
    board: int
    series: int
    wake_reader: int
    wake_writer: int
    channel: int

    def descriptors(self) -> tuple[int, ...]:
        """Return the open files."""
        return (
            self.listener,
            self.lock,
            self.board,
            self.series,
            self.wake_reader,
            self.wake_writer,
            self.channel,
        )


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

    def owner(self, data_dir: Path, *, alone: bool) -> str:
        """Return the name by which this process takes leases; no other has it that is alive.

        Args:
            data_dir: that of the server.
            alone: whether no server with another directory takes leases from the same database.
        """
        name = f"process {self.number}"
        if alone:
            return name
        # Machines can have the name of another, and their directories, too: what is drawn by lot nobody else has.
        directory = LocalArtifacts(data_dir)
        directory.write_new(_TOKEN_FILE, secrets.token_hex(8).encode())
        token = directory.local_path(_TOKEN_FILE).read_text(encoding="ascii")
        return f"{socket.gethostname()} {data_dir} {token} {name}"

    def leave(self) -> None:
        """Let go of what was shared."""
        self.wake.close()
        self.lock.release()


def take(data_dir: Path) -> FileLock:
    """Take a data directory; it is made where there is none.

    Raises:
        SettingsError: it cannot be used, or another server has it.
    """
    if (data_dir / RESTORING).exists():
        raise SettingsError(
            f"a backup is being restored into the data directory {data_dir}, or that broke off. Wait for its end, or "
            "run `convserve restore` again"
        )
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = FileLock(data_dir / LOCK_FILE)
        taken = lock.acquire() or _acquire_from_orphans(lock)
        if taken:
            lock.write_holder()
    except OSError as error:
        raise unusable(data_dir, error) from error
    if not taken:
        raise SettingsError(
            f"the data directory {data_dir} is in use by {_named(lock.path)}: a data directory has one server. "
            "Stop that one, or name another directory in CONVSERVE_DATA_DIR"
        )
    return lock


def unusable(data_dir: Path, error: BaseException) -> SettingsError:
    """Return what to say to who starts a server whose files cannot be read or written."""
    if isinstance(error, ObjectStoreFault):
        return SettingsError(
            f"{error.strerror}. See that it runs, and that CONVSERVE_ARTIFACTS_URL and what belongs to it are right, "
            "and start again. Nothing that is stored is lost"
        )
    return SettingsError(
        f"the data directory {data_dir} cannot be used: {reason(error)}. Make it writable for this user, or make "
        "room on its disk, and start again; or name another one in CONVSERVE_DATA_DIR. Nothing that is stored is lost"
    )


def left_behind(data_dir: Path) -> str | None:
    """Return who serves a data directory whose parent is dead; None where nobody does, or the parent lives.

    Such processes are about to end, and get some time to; who stays is stopped, or the system cannot end it.
    """
    path = data_dir / LOCK_FILE
    deadline = time.monotonic() + _ORPHAN_SECONDS
    while _parent_is_dead(path) and is_locked(path):
        if time.monotonic() >= deadline:
            return _named(path)
        time.sleep(_RETRY_SECONDS)
    return None


def _acquire_from_orphans(lock: FileLock) -> bool:
    """Take a lock whose holder is dead and whose children are about to see it."""
    deadline = time.monotonic() + _ORPHAN_SECONDS
    while _parent_is_dead(lock.path) and time.monotonic() < deadline:
        if lock.acquire(_RETRY_SECONDS):
            return True
    return False


def _parent_is_dead(lock: Path) -> bool:
    taker = read_holder(lock)
    return taker is not None and not _is_alive(taker)


def _named(path: Path) -> str:
    """Return who has a lock, in words."""
    holders = read_holders(path)
    if not holders:
        return "another process"
    parent, *children = holders
    left = [str(child) for child in children if _is_alive(child)]
    if _is_alive(parent) or not left:
        return f"process {parent}"
    return f"what process {parent} left when it was killed; `kill -KILL {' '.join(left)}` ends that"


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
