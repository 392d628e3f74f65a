"""Leases: which process does what only one may do at a time, by the database and by its clock.

A holder renews its lease long before it runs out; who finds one that has run out takes it. Each time a lease is taken
its term goes up, and what a holder writes is held against owner and term in the same transaction: one that was frozen
and comes back after another has taken over writes nothing more (https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html).
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, func, insert, or_, select, update
from sqlalchemy.types import Float

from app.errors import LeaseLost
from app.store.database import Database
from app.store.tables import leases


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to do what only one process may do at a time.

    Attributes:
        name: of what is done.
        owner: who has it.
        term: how often it has been taken, this time included.
        seconds: how long it runs without being renewed.
    """

    name: str
    owner: str
    term: int
    seconds: float


class Leases:
    """The leases, by name."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, name: str, owner: str, seconds: float) -> Lease | None:
        """Take a lease that nobody holds, that has run out or that was this owner's; None where another holds it.

        Args:
            name: of the lease.
            owner: who takes it. Nobody else goes by this name, unless the one before it is dead.
            seconds: for how long.
        """
        columns = leases.c
        # One that runs for longer than any can was taken before the clock was set back.
        free = or_(columns.owner.is_(None), columns.owner == owner, ~_runs(seconds))
        with self._database.write() as connection:
            term = connection.scalar(select(columns.term).where(columns.name == name))
            if term is None:
                term = 0
                connection.execute(insert(leases).values(name=name, owner=None, term=term, until=0.0))
            taken = {"owner": owner, "term": term + 1, "until": _clock() + seconds}
            done = connection.execute(update(leases).where(columns.name == name, free).values(**taken))
            return Lease(name, owner, term + 1, seconds) if done.rowcount else None

    def renew(self, lease: Lease) -> None:
        """Hold a lease for as long again, also one that has run out and that nobody has taken.

        Raises:
            LeaseLost: another has taken it.
        """
        self._change(lease, until=_clock() + lease.seconds)

    def release(self, lease: Lease) -> None:
        """Let go of a lease, so that others need not wait for its end; fine if it is lost."""
        try:
            self._change(lease, owner=None)
        except LeaseLost:
            return

    def holder(self, name: str) -> str | None:
        """Return who holds a lease that has not run out, None where nobody does."""
        columns = leases.c
        query = select(columns.owner).where(columns.name == name, columns.until > _clock())
        with self._database.read() as connection:
            return connection.scalar(query)

    def _change(self, lease: Lease, **values: object) -> None:
        with self._database.write() as connection:
            done = connection.execute(update(leases).where(_held(lease)).values(**values))
            if not done.rowcount:
                raise LeaseLost(lease.name)


def check(connection: Connection, lease: Lease) -> None:
    """Refuse what is about to be written by one who holds a lease no more.

    Raises:
        LeaseLost: another has taken it, or it was let go of.
    """
    if connection.scalar(select(leases.c.term).where(_held(lease))) is None:
        raise LeaseLost(lease.name)


def _held(lease: Lease) -> ColumnElement[bool]:
    columns = leases.c
    return and_(columns.name == lease.name, columns.owner == lease.owner, columns.term == lease.term)


def _runs(seconds: float) -> ColumnElement[bool]:
    return and_(leases.c.until > _clock(), leases.c.until <= _clock() + seconds)


def _clock() -> ColumnElement[float]:
    """Return the seconds since 1970 by the clock of the database."""
    return (func.julianday("now", type_=Float) - 2440587.5) * 86400.0
