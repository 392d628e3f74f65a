"""Moves the rows of an installation from an SQLite file to PostgreSQL, or back."""

from __future__ import annotations

from app.care.errors import CareError
from app.care.installation import kept_alone
from app.care.rows import refuse_filled, take_rows
from app.files.paths import RESTORING
from app.settings import Settings
from app.store.snapshots import check_exists
from app.store.transfer import Seen, TakenOver


def migrate_store(
    source: Settings, target: Settings, seen: Seen = lambda table, rows: None
) -> tuple[TakenOver, ...]:
    """Take all rows over from one database to another; the first one stays as it is.

    Args:
        source: names the database that has the rows.
        target: names the one that is to have them.
        seen: told of each table, again and again.

    Raises:
        CareError: a server or a job is at work, the target is not empty, or the tables are of another version.
        Conflict: a row cannot be read or stored; nothing was taken over.
        StorageFault: one of the databases cannot be used.
    """
    if (source.database is None) == (target.database is None):
        raise CareError(
            "name a data directory and the address of a PostgreSQL database: rows are moved from the one to the other"
        )
    if (target.data_dir / RESTORING).exists() and target.database is None:
        raise CareError(f"a backup is being restored into {target.data_dir}: wait for its end")
    if source.database is None:
        check_exists(source.data_dir)
    else:
        target.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory = (source if source.database is None else target).data_dir
    with kept_alone(source.model_copy(update={"data_dir": directory})):
        refuse_filled(target)
        return take_rows(source, target, seen)
