"""Brings the tables of an installation to this version, with a copy of the database from before; or tries to."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from app.care.errors import CareError
from app.care.installation import (
    check_there,
    check_version,
    database_faults,
    kept_alone,
    open_moment,
    open_store,
    refuse_holder,
)
from app.files.artifacts import sync_directory
from app.files.paths import BEFORE_UPGRADE
from app.files.scratch import scratch
from app.files.volume import free_bytes
from app.settings import Settings
from app.store import Store
from app.store.database import DATABASE_NAME, newest_version, pending_migrations
from app.store.records import now
from app.store.snapshots import count_rows, find_faults, find_strangers, move_in

_ROOM = 3
"""Times the size of the database that have to be free: a copy, what is written anew, and the log of that."""


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What an upgrade does, or has done.

    Attributes:
        tables: the version of the tables before.
        newest: that of this program.
        steps: the versions in between, and what each is about.
        seconds: how long the copy of the database took to be brought to this version.
        needed_bytes: what has to be free on the disk of the database.
        free_bytes: what is; None where that disk is another machine's.
        kept: the copy of the database as it was, where the upgrade was done.
    """

    tables: str
    newest: str
    steps: tuple[tuple[str, str], ...]
    seconds: float
    needed_bytes: int
    free_bytes: int | None
    kept: Path | None = None


def try_upgrade(settings: Settings) -> Upgrade:
    """Bring a copy of the database to this version and check it; the installation may be in use, and stays as it is.

    Raises:
        CareError: it would fail, or there is no room.
        Unavailable: there is no database, or it cannot be read.
    """
    check_there(settings)
    if settings.database is not None:
        return _try_shared(settings, settings.database)
    data_dir = settings.data_dir
    size = (data_dir / DATABASE_NAME).stat().st_size
    needed, free = _ROOM * size, free_bytes(data_dir)
    if needed > free:
        raise CareError(f"an upgrade needs {needed} bytes on the disk of {data_dir}, and {free} are free")
    with scratch(data_dir) as room:
        with open_moment(settings) as moment:
            tables = check_version(moment)
            moment.copy(room)
        seconds = _try(room)
    return Upgrade(tables, newest_version(), tuple(pending_migrations(tables)), seconds, needed, free)


def upgrade(settings: Settings) -> Upgrade:
    """Try an upgrade, keep a copy of the database as it is, and bring the database to this version.

    Raises:
        CareError: the installation is in use, the upgrade would fail, or there is no room.
        Unavailable: there is no database, or it cannot be read.
    """
    check_there(settings)
    with kept_alone(settings):
        tried = try_upgrade(settings)
        if not tried.steps:
            return tried
        # trying takes long, and keeps nobody on another machine from starting
        refuse_holder(settings)
        kept = _keep(settings, tried.tables)
        refuse_holder(settings)
        with closing(open_store(settings)) as store:
            store.migrate()
        return replace(tried, kept=kept)


def _try_shared(settings: Settings, address: str) -> Upgrade:
    """Bring copies of all tables of a PostgreSQL database to this version, within it, and let go of them."""
    # what speaks with PostgreSQL, where there is one
    from app.store.shared_snapshots import rehearse, shared_snapshot  # noqa: PLC0415

    with shared_snapshot(address) as moment:
        tables, size = check_version(moment), moment.bytes()
    _refuse(database_faults(settings), "is damaged before the upgrade")
    tried = rehearse(address)
    _refuse(_fewer(tried.before, tried.after), "would lose rows")
    steps = tuple(pending_migrations(tables))
    return Upgrade(tables, newest_version(), steps, tried.seconds, size, None)


def _try(folder: Path) -> float:
    """Bring the database of a directory to this version, check it, and return the seconds that took."""
    _refuse(find_faults(folder), "is damaged before the upgrade")
    before = count_rows(folder)
    begun = time.perf_counter()
    store = Store(folder)
    try:
        store.migrate()
    finally:
        store.close()
    seconds = time.perf_counter() - begun
    _refuse(find_faults(folder) + find_strangers(folder), "would be damaged after the upgrade")
    _refuse(_fewer(before, count_rows(folder)), "would lose rows")
    return seconds


def _fewer(before: dict[str, int], after: dict[str, int]) -> list[str]:
    """Say which tables have fewer rows than before."""
    return [
        f"{table} would have {after[table]} rows, not {rows}"
        for table, rows in before.items()
        if table in after and after[table] < rows
    ]


def _keep(settings: Settings, tables: str) -> Path:
    """Copy the database as it is to a directory of the data directory, and return the copy."""
    data_dir = settings.data_dir
    folder = data_dir / BEFORE_UPGRADE / f"{tables}-{now():%Y%m%dT%H%M%SZ}"
    with scratch(data_dir) as room, open_moment(settings) as moment:
        moment.copy(room)
        folder.mkdir(parents=True)
        move_in(room / DATABASE_NAME, folder)  # the copy is all that is left of it
    for path in (folder.parent, data_dir):
        sync_directory(path)
    return folder / DATABASE_NAME


def _refuse(faults: list[str], what: str) -> None:
    if faults:
        raise CareError(f"the database {what}, and nothing was changed: {'; '.join(faults[:3])}")
