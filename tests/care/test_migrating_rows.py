"""Rows go from SQLite to PostgreSQL and back: all of them, as they were, or none."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from psycopg.errors import LockNotAvailable
from sqlalchemy import JSON, BigInteger, Float, Integer, Table

from app.care.migrate_store import migrate_store
from app.care.upgrade import try_upgrade
from app.cli.migrate import rows_at
from app.files.locks import FileLock
from app.jobs.duties import LEASE
from app.settings import Settings
from app.store import Store
from app.store.database import DATABASE_NAME, newest_version
from app.store.records import JobRecord
from app.store.tables import UtcDateTime, metadata
from tests.care.installation import as_json, run, unpack
from tests.cluster.postgres import execute, query

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]


def rows(data_dir: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return all that is in the tables of an SQLite file, as it is written."""
    found = {}
    with closing(sqlite3.connect(data_dir / DATABASE_NAME)) as database:
        for table in metadata.sorted_tables:
            names = ", ".join(f'"{column.name}"' for column in table.c)
            keys = ", ".join(column.name for column in table.primary_key)
            query = f"SELECT {names} FROM {table.name} ORDER BY {keys}"  # noqa: S608 - ours
            found[table.name] = database.execute(query).fetchall()
    return found


@pytest.fixture
def full(installation: Path) -> Path:
    """An installation with a row in every table."""
    with closing(Store(installation)) as store:
        store.jobs.create(JobRecord("job_A", "training", {"note": "ä \\u0000 \U0001f600", "rate": 1e-300}))
        assert store.jobs.claim_next(["training"]) is not None
    with closing(sqlite3.connect(installation / DATABASE_NAME)) as database, database:
        for table in metadata.sorted_tables:
            if database.execute(f"SELECT count(*) FROM {table.name}").fetchone()[0] == 0:  # noqa: S608 - ours
                fill(database, table)
    return installation


def fill(database: sqlite3.Connection, table: Table) -> None:
    """Put a row into a table, whatever it is."""
    values: dict[str, Any] = {}
    for column in table.c:
        reference = next(iter(column.foreign_keys), None)
        if reference is not None:
            other = reference.column
            query = f"SELECT {other.name} FROM {other.table.name}"  # noqa: S608 - ours
            (values[column.name],) = database.execute(query).fetchone()
        elif isinstance(column.type, JSON):
            values[column.name] = '{ "of":  1.0}'
        elif isinstance(column.type, UtcDateTime):
            values[column.name] = "2026-11-30 23:59:59.000001"
        elif isinstance(column.type, Float):
            values[column.name] = 0.1
        elif isinstance(column.type, BigInteger):
            values[column.name] = 2**62
        elif isinstance(column.type, Integer):
            values[column.name] = 2**31 - 1
        else:
            values[column.name] = "text"
    marks = ", ".join("?" * len(values))
    database.execute(f"INSERT INTO {table.name} ({', '.join(values)}) VALUES ({marks})", [*values.values()])  # noqa: S608 - ours


def test_all_rows_go_there_and_come_back(full: Path, database_url: str, tmp_path: Path) -> None:
    before = rows(full)
    assert all(before.values()), "a row in every table"
    address = tmp_path / "address"
    address.write_text(f"{database_url}\n")
    there = as_json("migrate-store", full, f"@{address}")
    assert {entry["table"]: entry["rows"] for entry in there} == {
        name: len(each) for name, each in before.items()
    }
    assert rows(full) == before, "where they came from they stay"
    said = run("migrate-store", database_url, tmp_path / "new")
    assert "the same on both sides" in said
    assert "a-secret" not in said
    assert all(entry["sha256"] in said for entry in there)
    assert rows(tmp_path / "new") == before
    with closing(Store(tmp_path / "new")) as store:
        store.migrate()
        store.probe()


def test_numbers_go_on_where_they_were(full: Path, database_url: str, tmp_path: Path) -> None:
    as_json("migrate-store", full, database_url)
    events = max(row[4] for row in rows(full)["job_events"])
    with closing(Store(tmp_path, database_url)) as store:
        store.migrate()
        store.jobs.create(JobRecord("job_B", "training", {}))
        assert store.jobs.claim_next(["training"]) is not None
        lease = store.leases.take(LEASE, "somebody", 1.0)
        assert lease is not None
        store.leases.release(lease)
    as_json("migrate-store", database_url, tmp_path / "new")
    after = sorted(row[4] for row in rows(tmp_path / "new")["job_events"] if row[4] > events)
    assert after == [events + number for number in range(1, len(after) + 1)]
    assert after


@pytest.mark.parametrize("after", [1, 5, 12])
def test_one_that_is_killed_has_moved_nothing_and_is_begun_again(
    full: Path, database_url: str, tmp_path: Path, after: int
) -> None:
    def die(source: Path | str, target: Path | str) -> None:
        command = [sys.executable, "-m", "tests.care.moving", "rows", str(after), str(source), str(target)]
        assert subprocess.run(command, cwd=ROOT, check=False).returncode == -9

    before = rows(full)
    die(full, database_url)
    as_json("migrate-store", full, database_url)
    die(database_url, tmp_path / "new")
    as_json("migrate-store", database_url, tmp_path / "new")
    assert rows(tmp_path / "new") == before


def test_a_server_at_work_is_not_disturbed(full: Path, database_url: str, tmp_path: Path) -> None:
    with FileLock(full / "server.lock") as lock:
        lock.acquire()
        assert "stop the server first" in run("migrate-store", full, database_url, status=1)
    as_json("migrate-store", full, database_url)
    with closing(Store(tmp_path, database_url)) as store:
        lease = store.leases.take(LEASE, "host /data process 0", 60.0)
        assert lease is not None
        said = run("migrate-store", database_url, tmp_path / "new", status=1)
        assert "host /data process 0 holds a lease" in said
        store.leases.release(lease)
    as_json("migrate-store", database_url, tmp_path / "new")


def test_nobody_writes_while_rows_are_read(full: Path, database_url: str, tmp_path: Path) -> None:
    as_json("migrate-store", full, database_url)
    refused = []

    def write(*_: object) -> None:
        if not refused:
            with pytest.raises(LockNotAvailable):
                execute(database_url, "SET lock_timeout = '100ms'; UPDATE jobs SET heartbeat = heartbeat + 1")
            refused.append(True)

    migrate_store(rows_at("FROM", database_url), rows_at("TO", str(tmp_path / "new")), write)
    assert refused
    assert rows(tmp_path / "new") == rows(full)


def test_a_schema_of_ones_own(full: Path, database_url: str, tmp_path: Path) -> None:
    execute(database_url, 'CREATE SCHEMA "Our rows"')
    execute(database_url, "CREATE TABLE jobs (number integer)")  # of others, in another schema
    address = f"{database_url}?options=-csearch_path%3D%22Our%5C%20rows%22"
    as_json("migrate-store", full, address)
    settings = Settings(data_dir=tmp_path / "data", database_url=address)
    assert try_upgrade(settings).steps == ()
    as_json("migrate-store", address, tmp_path / "new")
    assert rows(tmp_path / "new") == rows(full)
    assert query(database_url, "SELECT count(*) FROM jobs") == [(0,)]


def test_a_target_that_is_not_empty_is_refused(full: Path, database_url: str, tmp_path: Path) -> None:
    execute(database_url, "CREATE TABLE theirs (number integer)")  # beside which there is room
    as_json("migrate-store", full, database_url)
    assert "is not empty" in run("migrate-store", full, database_url, status=1)
    before = rows(full)
    assert "is not empty" in run("migrate-store", database_url, full, status=1)
    assert rows(full) == before
    assert "name a data directory and" in run("migrate-store", full, tmp_path / "new", status=1)
    assert "neither a directory nor" in run("migrate-store", full, "mysql://somewhere/rows", status=1)
    assert "no data directory" in run("migrate-store", tmp_path / "none", database_url, status=1)


def test_tables_of_another_version_are_refused(database_url: str, tmp_path: Path) -> None:
    old = unpack(tmp_path)
    said = run("migrate-store", old, database_url, status=1)
    assert "tables of version 0001" in said
    assert "convserve upgrade" in said
    run("upgrade", "--data-dir", old)
    as_json("migrate-store", old, database_url)
    execute(database_url, "UPDATE alembic_version SET version_num = '9999'")
    said = run("migrate-store", database_url, tmp_path / "new", status=1)
    assert "tables of version 9999" in said
    assert newest_version() in said


def test_a_row_that_cannot_be_carried_is_named(full: Path, database_url: str) -> None:
    with closing(sqlite3.connect(full / DATABASE_NAME)) as database, database:
        database.execute("UPDATE jobs SET request = '[' WHERE id = 'job_A'")
    assert "row job_A of the table jobs" in run("migrate-store", full, database_url, status=1)
    with closing(sqlite3.connect(full / DATABASE_NAME)) as database, database:
        database.execute("UPDATE jobs SET request = '{}', created_at = 'then' WHERE id = 'job_A'")
    assert "the row job_A of the table jobs cannot be read" in run(
        "migrate-store", full, database_url, status=1
    )
    with closing(sqlite3.connect(full / DATABASE_NAME)) as database, database:
        database.execute("PRAGMA foreign_keys = ON")
        database.execute("DELETE FROM jobs WHERE id = 'job_A'")
        # of a table that no check reads
        database.execute("UPDATE deliveries SET created_at = 'then'")
    assert "of the table deliveries cannot be read" in run("migrate-store", full, database_url, status=1)
    with closing(sqlite3.connect(full / DATABASE_NAME)) as database, database:
        database.execute("DELETE FROM deliveries")
    as_json("migrate-store", full, database_url)


def test_what_postgresql_cannot_hold_is_replaced_there(full: Path, database_url: str, tmp_path: Path) -> None:
    note = '{"note": "a\\u0000b \\\\u0000"}'
    with closing(sqlite3.connect(full / DATABASE_NAME)) as database, database:
        database.execute("UPDATE jobs SET request = ? WHERE id = 'job_A'", [note])
    as_json("migrate-store", full, database_url)
    with closing(Store(tmp_path, database_url)) as store:
        assert store.jobs.get("job_A").request == {"note": "a\ufffdb \\u0000"}
