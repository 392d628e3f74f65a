"""Leases: which process does what only one may do at a time, by the database and by its clock.

A holder renews its lease long before it runs out; who finds one that has run out takes it. Each time a lease is taken
its term goes up, and what a holder writes is held against owner and term in the same transaction: one that was frozen
and comes back after another has taken over writes nothing more (https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html).
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, or_, select, update

from app.errors import LeaseLost
from app.store.database import Database
from app.store.dialect import Order
from app.store.expressions import Clock, upsert
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
        with self._database.write(Order.LEASES) as connection:
            term = connection.scalar(select(columns.term).where(columns.name == name))
            if term is None:
                term = 0
                connection.execute(insert(leases).values(name=name, owner=None, term=term, until=0.0))
            taken = {"owner": owner, "term": term + 1, "until": Clock() + seconds}
            done = connection.execute(update(leases).where(columns.name == name, free).values(**taken))
            return Lease(name, owner, term + 1, seconds) if done.rowcount else None

    def renew(self, lease: Lease) -> None:
        """Hold a lease for as long again, also one that has run out and that nobody has taken.

        Raises:
            LeaseLost: another has taken it.
        """
        self._change(lease, until=Clock() + lease.seconds)

    def release(self, lease: Lease) -> None:
        """Let go of a lease, so that others need not wait for its end; fine if it is lost."""
        try:
            self._change(lease, owner=None)
        except LeaseLost:
            return

    def holder(self, name: str) -> str | None:
        """Return who holds a lease that has not run out, None where nobody does."""
        columns = leases.c
        query = select(columns.owner).where(columns.name == name, columns.until > Clock())
        with self._database.read() as connection:
            return connection.scalar(query)

    def anyone(self) -> str | None:
        """Return somebody who holds any lease that has not run out, None where nobody does."""
        query = select(leases.c.owner).where(leases.c.owner.is_not(None), leases.c.until > Clock()).limit(1)
        with self._database.read() as connection:
            return connection.scalar(query)

    def attend(self, group: str, owner: str, seconds: float) -> int:
        """Note that somebody is there, by a lease of its own, and return how many of a group are.

        Args:
            group: of whom.
            owner: who it is; nobody else goes by this name.
            seconds: for how long that counts.
        """
        columns = leases.c
        name = f"{group} {owner}"
        until = {"owner": owner, "until": Clock() + seconds}
        # together they sort behind the space and before what follows it
        grouped = and_(columns.name >= f"{group} ", columns.name < f"{group}!")
        with self._database.write(Order.LEASES) as connection:
            row = upsert(connection, leases).values(name=name, term=1, **until)
            connection.execute(row.on_conflict_do_update(index_elements=["name"], set_=until))
            connection.execute(delete(leases).where(grouped, columns.until <= Clock()))
            return connection.scalar(select(func.count()).where(grouped)) or 0

    def leave(self, group: str, owner: str) -> None:
        """Note that somebody is there no more."""
        with self._database.write(Order.LEASES) as connection:
            connection.execute(delete(leases).where(leases.c.name == f"{group} {owner}"))

    def forget(self) -> None:
        """Let go of all leases, whoever had them: in a copy of a database nobody has any."""
        with self._database.write() as connection:
            connection.execute(update(leases).values(owner=None, until=0.0))

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
    # who takes it waits for the end of what is written now
    query = select(leases.c.term).where(_held(lease)).with_for_update(read=True)
    if connection.scalar(query) is None:
        raise LeaseLost(lease.name)


def _held(lease: Lease) -> ColumnElement[bool]:
    columns = leases.c
    return and_(columns.name == lease.name, columns.owner == lease.owner, columns.term == lease.term)


def _runs(seconds: float) -> ColumnElement[bool]:
    return and_(leases.c.until > Clock(), leases.c.until <= Clock() + seconds)
