"""An installation as its settings say: where its rows and its files are, and whether anybody is at work there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Protocol

from app.care.errors import CareError
from app.files.locks import FileLock, is_locked
from app.files.paths import DIRECTORY
from app.files.scratch import scratch
from app.processes.member import LOCK_FILE
from app.settings import Settings
from app.store import Store
from app.store.database import Database, newest_version
from app.store.leases import Leases
from app.store.records import Json
from app.store.snapshots import check_exists, find_faults, snapshot


class Moment(Protocol):
    """One moment of a database, whatever is written meanwhile."""

    def version(self) -> str:
        """Return the version of the tables."""

    def unfinished(self) -> dict[str, tuple[Json, Json]]:
        """Return what the jobs are to do that have not ended, and their checkpoints; what cannot be read is empty."""

    def copy(self, directory: Path) -> None:
        """Write this moment as the SQLite database of another directory, in one file that is not flushed.

        Raises:
            Unavailable: it cannot be written there.
        """


def is_local(settings: Settings) -> bool:
    """Tell whether all of an installation is in its data directory."""
    return settings.database is None and settings.artifacts_url is None


def open_store(settings: Settings) -> Store:
    """Return the rows of an installation, to be closed."""
    return Store(settings.data_dir, settings.database)


def open_database(settings: Settings) -> Database:
    """Return the database of an installation, to be closed."""
    return Database(settings.data_dir, settings.database)


@contextmanager
def open_moment(settings: Settings) -> Iterator[Moment]:
    """Open the database of an installation at this moment. Nobody who writes waits for that.

    Raises:
        Unavailable: there is none, or it cannot be read.
    """
    if settings.database is None:
        with snapshot(settings.data_dir) as moment:
            yield moment
        return
    # with what speaks with PostgreSQL
    from app.store.shared_snapshots import shared_snapshot  # noqa: PLC0415

    with shared_snapshot(settings.database) as shared:
        yield shared


def database_faults(settings: Settings, *, quick: bool = False) -> list[str]:
    """Return what is wrong inside of the database of an installation.

    Args:
        settings: of the installation.
        quick: pass over what takes long.
    """
    if settings.database is None:
        return find_faults(settings.data_dir, quick=quick)
    # the same
    from app.store.shared_snapshots import shared_snapshot  # noqa: PLC0415

    with shared_snapshot(settings.database) as moment:
        return moment.faults()


def check_there(settings: Settings) -> None:
    """Refuse settings that no installation has, and make the room that looking after one takes.

    Raises:
        Unavailable: there is no database.
        OSError: the data directory cannot be made.
    """
    if settings.database is None:
        check_exists(settings.data_dir)
        return
    with open_moment(settings):
        # of a server on another machine there may be none here
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)


def check_version(moment: Moment) -> str:
    """Return the version of the tables.

    Raises:
        CareError: it is later than that of this program.
    """
    found = moment.version()
    refuse_later(found)
    return found


def refuse_later(tables: str, place: str = "the database") -> None:
    """Refuse tables of a later version than those of this program.

    Args:
        tables: their version.
        place: where they are, for people.

    Raises:
        CareError: they are.
    """
    if tables > newest_version():
        raise CareError(
            f"{place} has tables of version {tables}, and this program knows them up to {newest_version()}: "
            "use the version of convserve that serves it"
        )


def refuse_earlier(tables: str, place: str = "the database") -> None:
    """Refuse tables of an earlier version than those of this program; the arguments are those of `refuse_later`.

    Raises:
        CareError: they are.
    """
    if tables < newest_version():
        raise CareError(
            f"{place} has tables of version {tables}, and those of this program are of {newest_version()}: "
            "run `convserve upgrade` first"
        )


@contextmanager
def open_rows(settings: Settings) -> Iterator[tuple[Store, str]]:
    """Open the rows of an installation, those of a copy where its tables are of an earlier version.

    Raises:
        CareError: they are of a later one.
    """
    with ExitStack() as opened:
        # what is done with the rows may take hours: a moment that is open for so long lets a database grow
        with open_moment(settings) as moment:
            tables = check_version(moment)
            if tables == newest_version():
                store = open_store(settings)
            else:
                room = opened.enter_context(scratch(settings.data_dir))
                moment.copy(room)
                store = Store(room)
        opened.enter_context(closing(store))
        if tables != newest_version():
            store.migrate()
        yield store, tables


def who_works(settings: Settings) -> str | None:
    """Return who is at work in an installation, for people; None where nobody is, as far as can be seen from here."""
    if is_locked(settings.data_dir / LOCK_FILE):
        return f"a server has {settings.data_dir}"
    return job_at_work(settings.data_dir) or _holder(settings)


@contextmanager
def kept_alone(settings: Settings) -> Iterator[None]:
    """Keep servers away from the data directory of an installation that nobody is at work in.

    Raises:
        CareError: somebody is.
    """
    with FileLock(settings.data_dir / LOCK_FILE) as lock:
        if not lock.acquire():
            working: str | None = f"a server has {settings.data_dir}"
        else:
            working = job_at_work(settings.data_dir) or _holder(settings)
        if working is not None:
            raise CareError(f"the installation is in use: {working}; stop the server first")
        yield


def refuse_holder(settings: Settings) -> None:
    """Refuse a shared database that a server is at work in.

    Raises:
        CareError: one is.
    """
    if (working := _holder(settings)) is not None:
        raise CareError(f"the installation is in use: {working}; stop the server first")


def job_at_work(data_dir: Path) -> str | None:
    """Return that a job runs in a data directory, for people; None where none does."""
    working = any(is_locked(path) for path in data_dir.glob(f"{DIRECTORY}/*/lock"))
    return f"a job is running in {data_dir}" if working else None


def _holder(settings: Settings) -> str | None:
    """Return who has a lease of a shared database, as long as one runs that was not renewed."""
    if settings.database is None:
        return None
    with closing(open_database(settings)) as database:
        if database.version() is None:
            return None
        holder = Leases(database).anyone()
        return (
            None
            if holder is None
            else f"{holder} holds a lease in {database.place}, 10 seconds after its end, too"
        )


def place_of(settings: Settings) -> str:
    """Return where all of an installation is, for people."""
    if settings.database is None:
        return " and ".join(filter(None, (str(settings.data_dir), settings.artifacts_url)))
    with closing(open_store(settings)) as store:
        return f"{store.place} and {files_of(settings)}"


def files_of(settings: Settings) -> str:
    """Return where the files of an installation are, for people."""
    return settings.artifacts_url or str(settings.data_dir)
