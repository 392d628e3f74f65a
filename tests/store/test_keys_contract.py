"""API keys as rows: names, the rule that there is an admin, when they were used, and rows that cannot be read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from sqlite3 import connect
from typing import Any

import pytest

from app.errors import Conflict, NotFound, Unavailable
from app.keys.callers import ANYBODY, Caller
from app.keys.ring import Expired, Keyring, digest_of
from app.keys.secrets import Secrets
from app.settings import Settings
from app.store import Store, keys
from app.store.database import DATABASE_NAME
from app.store.keys import KeyRecord
from app.store.records import now
from tests.store.databases import heard, only_sqlite


def a_key(name: str, *scopes: str, **fields: Any) -> KeyRecord:
    digest = digest_of(f"secret of {name}".encode())
    return KeyRecord(f"key_{name}", name, digest, list(scopes or ("read",)), **fields)


def ring(store: Store, tmp_path: Path, **settings: Any) -> Keyring:
    return Keyring(store, Secrets(Settings(data_dir=tmp_path, **settings)))


def caller(keyring: Keyring, key: str) -> Caller | None:
    return asyncio.run(keyring.caller(key.encode()))


def test_what_is_stored_is_found_by_id_and_name(store: Store) -> None:
    for name in "abc":
        store.keys.create(a_key(name), needs_admin=False)
    assert [record.name for record in store.keys.all() if record is not None] == ["c", "b", "a"]
    assert store.keys.find("a") == store.keys.find("key_a")
    with pytest.raises(Conflict, match="there is a key 'a' already"):
        store.keys.create(a_key("a"), needs_admin=False)
    store.keys.delete("key_a", needs_admin=False)
    with pytest.raises(NotFound):
        store.keys.find("a")
    with pytest.raises(NotFound):
        store.keys.delete("a", needs_admin=False)


def test_one_key_is_an_admins_where_there_has_to_be_one(store: Store) -> None:
    with pytest.raises(Conflict, match="no key with the scope admin"):
        store.keys.create(a_key("reader"), needs_admin=True)
    with pytest.raises(Conflict):
        store.keys.create(a_key("late", "admin", expires_at=now() - timedelta(seconds=1)), needs_admin=True)
    assert store.keys.all() == ()
    store.keys.create(a_key("first", "admin"), needs_admin=True)
    store.keys.create(a_key("reader"), needs_admin=True)
    with pytest.raises(Conflict):
        store.keys.delete("first", needs_admin=True)
    store.keys.create(a_key("second", "admin"), needs_admin=True)
    store.keys.delete("first", needs_admin=True)
    store.keys.delete("second", needs_admin=False)
    assert [record.name for record in store.keys.all() if record is not None] == ["reader"]


def test_there_are_not_more_than_can_be_held(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "MOST", 2)
    for name in "ab":
        store.keys.create(a_key(name), needs_admin=False)
    with pytest.raises(Conflict, match="the most there may be"):
        store.keys.create(a_key("c"), needs_admin=False)


def test_the_latest_use_is_kept_and_changes_no_key(store: Store, address: str | None) -> None:
    heard(store)
    store.keys.create(a_key("a"), needs_admin=False)
    counters = store.changes.counters(store.keys.watched)
    at = now()
    store.keys.note({"key_a": at, "key_gone": at})
    store.keys.note({"key_a": at - timedelta(minutes=1)})
    assert store.keys.find("a").last_used_at == at
    store.keys.note({"key_a": at + timedelta(minutes=1)})
    assert store.keys.find("a").last_used_at == at + timedelta(minutes=1)
    if address is None:  # elsewhere a notice of the key itself may have come meanwhile
        assert store.changes.counters(store.keys.watched) == counters
    store.keys.delete("a", needs_admin=False)
    store.keys.create(a_key("a"), needs_admin=False)
    assert store.keys.find("a").last_used_at is None


def test_the_ring_knows_what_the_rows_say(store: Store, tmp_path: Path) -> None:
    keyring = ring(store, tmp_path)
    assert caller(keyring, "") is ANYBODY
    assert caller(keyring, "anything") is ANYBODY
    store.keys.create(a_key("a", "write"), needs_admin=False)
    known = caller(keyring, "secret of a")
    assert known is not None
    assert (known.key_id, known.name, known.may) == ("key_a", "a", {"read", "predict", "write"})
    assert caller(keyring, "") is None
    assert caller(keyring, "secret of b") is None
    assert not asyncio.run(keyring.stands(ANYBODY))
    assert asyncio.run(keyring.stands(known))
    keyring.note_used()
    assert store.keys.find("a").last_used_at is not None
    store.keys.delete("a", needs_admin=False)
    assert not asyncio.run(keyring.stands(known))


@only_sqlite
def test_the_rings_of_several_processes_know_the_same_at_once(
    store: Store, open_store: Callable[[], Store], tmp_path: Path
) -> None:
    rings = [ring(open_store(), tmp_path) for _ in range(3)]
    store.keys.create(a_key("operator", "admin"), needs_admin=False)
    for _ in range(20):
        assert [caller(one, "secret of a") for one in rings] == [None] * 3
        store.keys.create(a_key("a"), needs_admin=False)
        assert None not in [caller(one, "secret of a") for one in rings]
        store.keys.delete("a", needs_admin=False)


def test_an_expired_key_stays_known(store: Store, tmp_path: Path) -> None:
    store.keys.create(a_key("a", expires_at=now() - timedelta(seconds=1)), needs_admin=False)
    keyring = ring(store, tmp_path)
    with pytest.raises(Expired):
        caller(keyring, "secret of a")
    assert caller(keyring, "") is None


@only_sqlite
@pytest.mark.parametrize("column", ["scopes", "created_at", "expires_at"])
def test_a_row_that_cannot_be_read_lets_nobody_in_and_opens_nothing(
    store: Store, tmp_path: Path, column: str
) -> None:
    store.keys.create(a_key("a"), needs_admin=False)
    with closing(connect(tmp_path / "data" / DATABASE_NAME)) as database:
        database.execute(f"UPDATE api_keys SET {column} = 'no such thing'")  # noqa: S608
        database.commit()
    keyring = ring(store, tmp_path)
    assert store.keys.all() == (None,)
    assert caller(keyring, "secret of a") is None
    assert caller(keyring, "") is None
    store.keys.delete("a", needs_admin=False)
    assert caller(keyring, "") is ANYBODY


@only_sqlite
def test_without_the_database_nobody_is_let_in_but_the_operator(store: Store, tmp_path: Path) -> None:
    store.close()
    for file in (tmp_path / "data").glob(f"{DATABASE_NAME}*"):
        file.unlink()
    keyring = ring(store, tmp_path, api_key="of-the-operator")
    operator = caller(keyring, "of-the-operator")
    assert operator is not None
    assert operator.name == "environment"
    assert caller(keyring, "") is None
    for key, settings in (("another", {"api_key": "of-the-operator"}), ("", {})):
        with pytest.raises(Unavailable):
            caller(ring(store, tmp_path, **settings), key)
