"""From a backup to a data directory that has its name only when all of it is there and was checked."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from app.care.archive import Archive
from app.care.errors import BadBackup, CareError
from app.care.holdings import Listing, holdings
from app.care.installation import job_at_work
from app.care.manifest import Manifest
from app.care.places import Source, read_verified
from app.care.repository import Repository
from app.errors import StaleAttempt, Unavailable
from app.files.artifacts import LocalArtifacts, Stored, sync_directory
from app.files.locks import FileLock, is_locked
from app.files.paths import RESTORING
from app.files.volume import free_bytes
from app.processes.member import LOCK_FILE
from app.store import Store
from app.store.database import DATABASE_NAME
from app.store.records import now
from app.store.snapshots import find_faults, find_strangers

_NEW, _LOCK, _MOVING = "new", "lock", "moving"
"""What is in the directory that a restore works in: the new directory, who works there, what is being moved out."""
_NOTHING = (LOCK_FILE, RESTORING, "lost+found")
"""What a directory may have in it that counts as empty."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored.

    Attributes:
        manifest: what the backup consists of.
        requeued: the jobs that were running, and go on when a server starts.
        moved: where what was in the directory before is now, if there was something.
    """

    manifest: Manifest
    requeued: tuple[str, ...]
    moved: Path | None


def open_source(path: Path) -> Source:
    """Open a directory of backups, or a backup in one file.

    Raises:
        BadBackup: it is neither.
    """
    return Repository(path) if path.is_dir() else Archive(path)


def choose(source: Source, name: str | None) -> str:
    """Return the name of a backup: the newest one if none is named.

    Raises:
        BadBackup: there is none.
    """
    names = source.names()
    if not names:
        raise BadBackup("there is no backup in it")
    return names[-1] if name is None else name


def verify(source: Source, manifest: Manifest) -> None:
    """Read all of a backup.

    Raises:
        BadBackup: something of it is not as it was written.
    """
    for entry in manifest.entries():
        read_verified(source, entry)


def restore(source: Source, manifest: Manifest, data_dir: Path, *, force: bool = False) -> Restored:
    """Make a data directory of a backup.

    Args:
        source: where the backup is.
        manifest: what it consists of.
        data_dir: the directory; there is none, or it is empty.
        force: move what is there out of the way, to a directory beside it.

    Raises:
        CareError: the directory is in use or not empty, or there is no room.
        BadBackup: the backup is damaged; there is no new directory.
        OSError: the directory cannot be written.
    """
    data_dir = data_dir.absolute()
    if not data_dir.exists():
        return _restore_beside(source, manifest, data_dir, None)
    with FileLock(data_dir / LOCK_FILE) as lock:
        if not lock.acquire():
            raise CareError(f"{data_dir} is in use by a server: stop it, or name a new directory")
        if (working := job_at_work(data_dir)) is not None:
            raise CareError(f"{data_dir} is in use: {working}. Wait for its end")
        _clear(data_dir / RESTORING)
        if all(path.name in _NOTHING for path in data_dir.iterdir()):
            return _restore_inside(source, manifest, data_dir)
        if not force:
            raise CareError(
                f"{data_dir} is not empty: name a new directory, or let --force move what is there to one beside it"
            )
        old = data_dir.with_name(f"{data_dir.name}.before-restore-{now():%Y%m%dT%H%M%SZ}")
        return _restore_beside(source, manifest, data_dir, old)


def _restore_beside(source: Source, manifest: Manifest, data_dir: Path, old: Path | None) -> Restored:
    """Write the new directory beside its place, then give it its name; what has that is called `old` from then on."""
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    beginning = f".{data_dir.name}.restoring-"
    for left in data_dir.parent.glob(f"{beginning}*"):  # by one that was killed
        _clear(left)
    with _working(data_dir.with_name(beginning + secrets.token_hex(8))) as room:
        requeued = _make(source, manifest, room / _NEW)
        if old is not None:
            data_dir.rename(old)
        (room / _NEW).rename(data_dir)
        sync_directory(data_dir.parent)
    return Restored(manifest, requeued, old)


def _restore_inside(source: Source, manifest: Manifest, data_dir: Path) -> Restored:
    """Write the new directory within the empty one that has its place, such as a volume, and move it up.

    The database comes last: before it is there, no server takes the directory, and another restore begins anew.
    """
    with _working(data_dir / RESTORING) as room:
        new = room / _NEW
        requeued = _make(source, manifest, new)
        names = sorted(path.name for path in new.iterdir() if path.name != DATABASE_NAME)
        LocalArtifacts(room).write(_MOVING, "\n".join(names).encode())
        for name in (*names, DATABASE_NAME):
            (new / name).rename(data_dir / name)
        sync_directory(data_dir)
    return Restored(manifest, requeued, None)


@contextmanager
def _working(room: Path) -> Iterator[Path]:
    """Make a directory to work in; it is gone afterwards."""
    room.mkdir(mode=0o700)
    with FileLock(room / _LOCK) as lock:
        lock.acquire()
        try:
            yield room
        finally:
            _clear_files(room)


def _clear(room: Path) -> None:
    """Remove what a restore has left that was killed, and what of it was moved already.

    Raises:
        CareError: it is still at work.
    """
    if not room.exists():
        return
    if is_locked(room / _LOCK):
        raise CareError(f"another restore is at work in {room}: wait for its end")
    _clear_files(room)


def _clear_files(room: Path) -> None:
    if (room / _MOVING).exists() and not (room.parent / DATABASE_NAME).exists():
        for name in (room / _MOVING).read_text(encoding="utf-8").splitlines():
            LocalArtifacts(room.parent).delete(name)
    shutil.rmtree(room, ignore_errors=True)


def _make(source: Source, manifest: Manifest, folder: Path) -> tuple[str, ...]:
    """Write a backup to a directory, check it, and return the jobs that go on."""
    folder.mkdir(mode=0o700)
    free = free_bytes(folder)
    if manifest.size > free:
        raise CareError(f"the backup has {manifest.size} bytes, and {free} are free on the disk of {folder}")
    for entry in manifest.entries():
        path = folder / entry.name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            read_verified(source, entry, file)
            file.flush()
            os.fsync(file.fileno())
    requeued = settle(folder, manifest)
    for directory, _, _ in os.walk(folder):
        sync_directory(Path(directory))
    return requeued


def settle(folder: Path, manifest: Manifest) -> tuple[str, ...]:
    """Bring the database to this version, hold it against the files, and queue the jobs that ran; return these.

    Args:
        folder: with the database of the backup.
        manifest: of the backup.

    Raises:
        BadBackup: it is damaged, or has something in it that none of ours has.
    """
    store = Store(folder)
    try:
        _refuse(find_faults(folder))
        store.migrate()
        _refuse(find_strangers(folder))
        known = {fault.name for fault in manifest.damaged}
        written = {entry.name: (entry.sha256, entry.bytes) for entry in manifest.files}
        there = Listing(Stored(entry.name, entry.bytes, 0.0) for entry in manifest.files)
        found = holdings(store, there)
        _refuse([f"{name} {fault}" for name, fault in found.unusable if name not in known])
        for name, held in found.files.items():
            if name in known or held.grows:
                continue
            if name not in written:
                _refuse([f"it names {name}, of {held.owner}, which is not in the backup"])
            if held.sha256 is not None and (held.sha256, held.bytes) != written[name]:
                _refuse([f"it has another checksum of {name}, of {held.owner}, than the backup"])
        store.leases.forget()
        return tuple(pulse.id for pulse in store.jobs.active() if _requeue(store, pulse.id, pulse.attempt))
    except Unavailable as error:
        raise BadBackup(f"the database of the backup cannot be used: {error.detail}") from error
    finally:
        store.close()


def _requeue(store: Store, job_id: str, attempt: int) -> bool:
    with suppress(StaleAttempt):
        store.jobs.requeue(job_id, attempt)
        return True
    return False


def _refuse(faults: list[str]) -> None:
    if faults:
        raise BadBackup(f"the database of the backup is damaged: {'; '.join(faults[:3])}")
