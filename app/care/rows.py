"""Rows taken over from one database by another, which is empty before."""

from __future__ import annotations

from contextlib import closing

from app.care.errors import CareError
from app.care.installation import open_database, refuse_earlier, refuse_holder, refuse_later
from app.settings import Settings
from app.store.transfer import Seen, TakenOver, take_over


def refuse_filled(settings: Settings) -> None:
    """Refuse a database that has tables already.

    Raises:
        CareError: it has.
    """
    with closing(open_database(settings)) as target:
        if (found := target.version()) is not None:
            raise CareError(
                f"{target.place} is not empty: it has tables of version {found}. Name one where nothing is"
            )


def take_rows(
    source: Settings, target: Settings, seen: Seen = lambda table, rows: None
) -> tuple[TakenOver, ...]:
    """Make the tables in an empty database, fill them with all rows of another, and compare them one by one.

    All of it is there afterwards, or nothing. Nobody writes to the source meanwhile: who would waits.

    Args:
        source: names the database that has the rows, in tables of this version.
        target: names the one that is empty.
        seen: told of each table, again and again.

    Raises:
        CareError: the source has tables of another version, or a server is at work in it.
        Conflict: the target is not empty, or a row cannot be read or stored.
        StorageFault: one of them cannot be used.
    """
    with closing(open_database(source)) as before, closing(open_database(target)) as after:
        found = before.version()
        if found is None:
            raise CareError(f"{before.place} has no tables: it is no installation")
        refuse_later(found, before.place)
        refuse_earlier(found, before.place)
        with before.moment(alone=True) as rows:
            # one that began meanwhile has to wait from here on
            refuse_holder(source)
            return take_over(rows, after, seen=seen)
