"""API keys: who may call, and what each may do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, delete, func, insert, or_, select

from app.errors import Conflict, NotFound
from app.scopes import ADMIN
from app.store.database import Database
from app.store.dialect import Order
from app.store.expressions import later, upsert
from app.store.records import now
from app.store.rows import read_records
from app.store.tables import api_key_uses, api_keys

MOST = 1000
"""Keys that there may be: all are held in memory."""


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """An API key, without the key itself.

    Attributes:
        name: no other key has it.
        digest: SHA-256 of the key, in hexadecimal digits.
        scopes: see `app.scopes`.
        expires_at: None where it never does.
        last_used_at: to the minute or so; None where it was not used yet.
    """

    id: str
    name: str
    digest: str
    scopes: list[str]
    expires_at: datetime | None = None
    created_at: datetime = field(default_factory=now)
    last_used_at: datetime | None = None


class Keys:
    """The keys. A row that cannot be read lets nobody in, and can be deleted."""

    watched = (api_keys,)
    """What `app.store.changes` counts the changes of."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> tuple[KeyRecord | None, ...]:
        """Return all keys, newest first; None for one that cannot be read."""
        with self._database.read() as connection:
            return _read(connection, _records().order_by(api_keys.c.created_at.desc(), api_keys.c.id.desc()))

    def find(self, reference: str) -> KeyRecord:
        """Return the key of an id or a name.

        Raises:
            NotFound: there is none.
        """
        with self._database.read() as connection:
            for record in _read(connection, _records().where(_called(reference))):
                if record is not None:
                    return record
        raise NotFound.of("key", reference)

    def create(self, record: KeyRecord, *, needs_admin: bool) -> None:
        """Store a key.

        Args:
            record: the key.
            needs_admin: refuse what would leave nobody who may make and revoke keys; see `_check_admin`.

        Raises:
            Conflict: a key has this name, there are as many as there may be, or there would be no admin.
        """
        columns = api_keys.c
        with self._database.write(Order.KEYS) as connection:
            if connection.scalar(select(columns.id).where(columns.name == record.name)) is not None:
                raise Conflict(f"there is a key {record.name!r} already", code="name-taken")
            if (connection.scalar(select(func.count()).select_from(api_keys)) or 0) >= MOST:
                raise Conflict(
                    f"there are {MOST} keys, the most there may be; revoke some", code="too-many-keys"
                )
            connection.execute(
                insert(api_keys).values(
                    id=record.id,
                    name=record.name,
                    digest=record.digest,
                    scopes=record.scopes,
                    created_at=record.created_at,
                    expires_at=record.expires_at,
                )
            )
            if needs_admin:
                _check_admin(connection)

    def delete(self, reference: str, *, needs_admin: bool) -> None:
        """Revoke the key of an id or a name.

        Args:
            reference: the id or the name.
            needs_admin: as for `create`.

        Raises:
            NotFound: there is none.
            Conflict: there would be no admin any more.
        """
        with self._database.write(Order.KEYS) as connection:
            done = connection.execute(delete(api_keys).where(_called(reference)))
            if not done.rowcount:
                raise NotFound.of("key", reference)
            if needs_admin:
                _check_admin(connection)

    def note(self, uses: Mapping[str, datetime]) -> None:
        """Note when keys were last used, by their ids; those that are gone have nothing to note."""
        with self._database.write(Order.USES) as connection:
            keys = select(api_keys.c.id).where(api_keys.c.id.in_(uses))
            there = frozenset(connection.scalars(keys.with_for_update(read=True, key_share=True)))
            for key_id in there:
                noted = upsert(connection, api_key_uses).values(key_id=key_id, used_at=uses[key_id])
                # of several processes, one may have seen it later and written earlier
                latest = later(api_key_uses.c.used_at, noted.excluded.used_at)
                connection.execute(
                    noted.on_conflict_do_update(index_elements=["key_id"], set_={"used_at": latest})
                )


def _records() -> Select[Any]:
    return select(api_keys, api_key_uses.c.used_at.label("last_used_at")).outerjoin(api_key_uses)


def _called(reference: str) -> Any:
    return or_(api_keys.c.id == reference, api_keys.c.name == reference)


def _read(connection: Connection, query: Select[Any]) -> tuple[KeyRecord | None, ...]:
    return tuple(record for _, record in read_records(connection, query, api_keys.c.id, KeyRecord))


def _check_admin(connection: Connection) -> None:
    """Refuse to leave keys of which none makes and revokes others: the way back would be a restart with another key.

    Raises:
        Conflict: no key that has not expired is an admin's.
    """
    moment = now()
    for record in _read(connection, _records()):
        if record is None or ADMIN not in record.scopes:
            continue
        if record.expires_at is None or record.expires_at > moment:
            return
    raise Conflict(
        "there would be no key with the scope admin, and so nobody who may make or revoke keys; make one first, or "
        "start the server with CONVSERVE_API_KEY, which is an admin's",
        code="no-admin-key",
    )
