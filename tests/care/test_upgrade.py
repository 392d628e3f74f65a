"""An upgrade is tried on a copy first, keeps the database as it was, and is done whole or not at all."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from app.care import upgrade as upgrades
from app.care.check import check
from app.care.errors import CareError
from app.care.installation import open_rows
from app.care.upgrade import try_upgrade, upgrade
from app.files.locks import FileLock
from app.store.database import DATABASE_NAME, newest_version
from tests.care.installation import as_json, at, run, unpack


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A data directory that the first version wrote."""
    return unpack(tmp_path)


def version(file: Path) -> str:
    with closing(sqlite3.connect(file)) as database:
        return str(database.execute("SELECT version_num FROM alembic_version").fetchone()[0])


def test_who_looks_at_an_earlier_version_holds_no_moment_of_it_open(old: Path) -> None:
    with closing(sqlite3.connect(old / DATABASE_NAME)) as database:
        assert database.execute("PRAGMA journal_mode = WAL").fetchone() == ("wal",)
        with open_rows(at(old)) as (store, tables):
            assert (tables, bool(store.jobs.identifiers())) == ("0001", True)
            database.execute("UPDATE jobs SET heartbeat = heartbeat + 1")
            database.commit()
            busy, *_ = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert not busy, "nothing is read of what was before"


def test_it_is_tried_on_a_copy(old: Path) -> None:
    database = old / DATABASE_NAME
    before = database.read_bytes()
    with FileLock(old / "server.lock") as lock:
        lock.acquire()  # beside a server
        said = as_json("upgrade", "--dry-run", "--data-dir", old)
    assert [step["version"] for step in said["steps"]] == [
        f"{number:04}" for number in range(2, int(newest_version()) + 1)
    ]
    assert all(step["about"] for step in said["steps"])
    assert (said["tables"], said["newest"], said["kept"]) == ("0001", newest_version(), None)
    assert database.read_bytes() == before
    assert not list((old / "care").iterdir())


def test_it_keeps_the_database_as_it_was(old: Path) -> None:
    done = upgrade(at(old))
    assert done.kept is not None
    assert (version(done.kept), version(old / DATABASE_NAME)) == ("0001", newest_version())
    assert check(at(old)).findings == []
    again = upgrade(at(old))
    assert (again.steps, again.kept) == ((), None)
    assert "nothing to do" in run("upgrade", "--data-dir", old)


def test_it_is_not_done_beside_a_server(old: Path) -> None:
    with FileLock(old / "server.lock") as lock:
        lock.acquire()
        with pytest.raises(CareError, match="stop the server first"):
            upgrade(at(old))
    assert version(old / DATABASE_NAME) == "0001"


def test_a_full_disk_is_found_before(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upgrades, "free_bytes", lambda folder: 1000)
    with pytest.raises(CareError, match="1000 are free"):
        try_upgrade(at(old))


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("INSERT INTO epochs (job_id, epoch, figures) VALUES ('job_gone', 1, '{}')", "damaged before"),
        ("CREATE TRIGGER other AFTER UPDATE ON jobs BEGIN DELETE FROM models; END", "damaged after"),
        ("CREATE TABLE answers (id INTEGER)", "already exists"),
        ("UPDATE alembic_version SET version_num = '9999'", "tables of version 9999"),
    ],
)
def test_one_that_would_fail_is_not_begun(old: Path, statement: str, says: str) -> None:
    with closing(sqlite3.connect(old / DATABASE_NAME)) as database, database:
        database.execute(statement)
    before = version(old / DATABASE_NAME)
    said = run("upgrade", "--data-dir", old, status=1)
    assert says in said
    assert "Traceback" not in said
    assert version(old / DATABASE_NAME) == before
    assert not (old / "before-upgrade").exists()
