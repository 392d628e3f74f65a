"""The look at the database finds what is wrong with the file, whatever the open connections make believe."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from app.errors import StorageFault, StorageUnavailable
from app.store import Store
from app.store.database import DATABASE_NAME
from tests.store.databases import only_sqlite


@pytest.fixture
def file(store: Store, tmp_path: Path) -> Path:
    store.probe()
    return tmp_path / "data" / DATABASE_NAME


def change(statement: str) -> Callable[[Path], None]:
    def make(file: Path) -> None:
        with closing(sqlite3.connect(file)) as database, database:
            database.execute(statement)

    return make


def empty_log(file: Path) -> None:
    """Bring everything into the file itself: what is in the log is read from there."""
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def remove(file: Path) -> None:
    file.unlink()


def replace(file: Path) -> None:
    copy = file.with_name("copy")
    with closing(sqlite3.connect(file)) as database, closing(sqlite3.connect(copy)) as target:
        database.backup(target)
    copy.replace(file)


def overwrite(file: Path) -> None:
    empty_log(file)
    with file.open("r+b") as database:
        database.write(b"no database at all" * 100)


@only_sqlite
@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (remove, "cannot be opened"),
        (replace, "replaced by another file"),
        (overwrite, "damaged"),
        (change("UPDATE alembic_version SET version_num = '0000'"), "of version 0000"),
        (change("DROP TABLE alembic_version"), "does not answer"),
    ],
)
def test_harm_is_found(store: Store, file: Path, harm: Callable[[Path], None], words: str) -> None:
    harm(file)
    with pytest.raises(StorageUnavailable, match=words) as caught:
        store.probe()
    assert str(file.parent) not in caught.value.detail


@only_sqlite
def test_damage_that_a_query_has_met_is_looked_for(store: Store, file: Path) -> None:
    empty_log(file)
    with closing(sqlite3.connect(file)) as database:
        root = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'jobs'").fetchone()[0]
        size = database.execute("PRAGMA page_size").fetchone()[0]
    with file.open("r+b") as database_file:
        database_file.seek((root - 1) * size)
        good = database_file.read(size)
        database_file.seek((root - 1) * size)
        database_file.write(b"\xff" * size)
    store.probe()  # a page that nobody has looked at
    other = Store(file.parent)
    with closing(other):
        with pytest.raises(StorageFault, match="damaged"):
            other.jobs.page(1)
        with pytest.raises(StorageFault, match="restore it from a backup"):
            other.probe()
    with file.open("r+b") as database_file:
        database_file.seek((root - 1) * size)
        database_file.write(good)
