"""The database file: made once, brought forward, never brought backwards, durable."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine

from app.errors import Unavailable
from app.ids import ARCHITECTURE, new_id
from app.store import Store
from app.store.database import DATABASE_NAME, Database
from app.store.records import ArchitectureRecord, JobRecord, now
from app.store.tables import metadata


def test_migrations_make_the_tables_that_the_code_uses(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.migrate()
    store.close()
    engine = create_engine(f"sqlite:///{tmp_path / DATABASE_NAME}")
    try:
        with engine.connect() as connection:
            context = MigrationContext.configure(
                connection, opts={"compare_type": True, "compare_server_default": True}
            )
            assert compare_metadata(context, metadata) == []
    finally:
        engine.dispose()


def tables(file: Path) -> dict[str, str]:
    """Return how everything in a database was made."""
    with closing(sqlite3.connect(file)) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master").fetchall()
        version = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    return {name: "".join((sql or "").split()) for name, sql in rows} | {"version": str(version)}


def test_a_new_database_is_what_the_migrations_make(tmp_path: Path) -> None:
    new, old = Database(tmp_path / "new"), Database(tmp_path / "old")
    new.migrate()
    (tmp_path / "old").mkdir()
    with old.write() as connection:
        # not empty: Alembic begins with the first migration
        connection.exec_driver_sql("CREATE TABLE other (number INTEGER)")
    old.migrate()
    new.close()
    old.close()
    made, migrated = (tables(tmp_path / name / DATABASE_NAME) for name in ("new", "old"))
    assert migrated.pop("other")
    assert made == migrated


def test_a_present_database_is_opened_without_alembic(tmp_path: Path) -> None:
    Database(tmp_path).migrate()
    program = "import sys; from app.store.database import Database; from pathlib import Path; "
    program += f"Database(Path({str(tmp_path)!r})).migrate(); print('alembic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_what_speaks_with_postgresql_is_not_loaded_for_a_file(tmp_path: Path) -> None:
    program = "import sys; from app.store import Store; from pathlib import Path; "
    program += f"Store(Path({str(tmp_path)!r})).migrate(); print('psycopg' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_several_at_once_make_one_database(tmp_path: Path) -> None:
    stores = [Store(tmp_path / "new" / "data") for _ in range(4)]
    with ThreadPoolExecutor(len(stores)) as pool:
        list(pool.map(Store.migrate, stores))
    record = stores[0].architectures.create(ArchitectureRecord(new_id(ARCHITECTURE), "a", {}))
    assert stores[3].architectures.get(record.id) == record
    for store in stores:
        store.close()


def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.migrate()
    store.close()
    with closing(sqlite3.connect(tmp_path / DATABASE_NAME)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Unavailable, match="newer version"):
        store.migrate()
    store.close()
    with closing(sqlite3.connect(tmp_path / DATABASE_NAME)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]


def test_what_is_committed_is_on_the_disk(tmp_path: Path) -> None:
    database = Database(tmp_path)
    database.migrate()
    with database.write() as connection:
        settings = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    database.close()
    full = 2
    assert settings == {
        "journal_mode": "wal",
        "synchronous": full,
        "foreign_keys": 1,
        "busy_timeout": 30_000,
    }


def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    database = Database(tmp_path)
    database.migrate()

    def insert_then_fail() -> None:
        with database.write() as connection:
            connection.exec_driver_sql("INSERT INTO architectures VALUES ('a', '2024-01-01', 0, 'n', '{}')")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        insert_then_fail()
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM architectures").scalar() == 0
    database.close()


def test_a_database_that_does_not_answer_says_so(tmp_path: Path) -> None:
    store = Store(tmp_path / "not there")
    with pytest.raises(Unavailable, match="cannot be opened"):
        store.jobs.active()
    with pytest.raises(Unavailable, match="cannot be opened"):
        store.jobs.claim_next(["training"])
    store.close()


def downgrade(directory: Path, revision: str) -> None:
    """Bring a database back to what an earlier version had."""
    database = Database(directory)
    with database.write() as connection:
        config = Config()
        config.set_main_option("script_location", "app.store:migrations")
        config.attributes["connection"] = connection
        command.downgrade(config, revision)
    database.close()


def test_earlier_additions_become_a_kind_of_their_own(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.migrate()
    requests = {"job_a": {"upload": "uploads/0"}, "job_b": {"files": [{"upload": "uploads/1"}]}}
    for job_id, request in requests.items():
        store.jobs.create(JobRecord(job_id, "ingestion", request))
    downgrade(tmp_path, "0006")
    store.migrate()
    assert {job.id: job.kind for job in store.jobs.unfinished()} == {
        "job_a": "ingestion",
        "job_b": "addition",
    }
    store.close()


def test_earlier_checkpoints_are_kept_from_the_upgrade_on(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.migrate()
    for job_id, checkpoint in (("job_a", {"name": "a"}), ("job_b", None), ("job_c", {"parts": 1})):
        store.jobs.create(JobRecord(job_id, "training", {}))
        store.jobs.claim_next(["training"])
        if checkpoint is not None:
            store.jobs.record_checkpoint(job_id, 1, checkpoint)
        store.jobs.fail(job_id, 1, {"code": "internal", "message": "stop"})
    store.jobs.create(JobRecord("job_d", "training", {}, checkpoint={"name": "d"}))
    downgrade(tmp_path, "0007")
    before = now()
    store.migrate()
    kept = {job.id: job.checkpoint_kept_since for job in store.jobs.page(10).data}
    assert kept.pop("job_a") >= before
    assert kept == {"job_b": None, "job_c": None, "job_d": None}
    store.close()
