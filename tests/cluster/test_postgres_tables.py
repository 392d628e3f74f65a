"""The tables in PostgreSQL: made once, brought forward, never brought backwards, and never beside another program's."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine

from app.errors import StorageFault, StorageUnavailable, Unavailable
from app.store import Store
from app.store.database import Database, newest_version
from app.store.records import ArchitectureRecord, JobRecord
from app.store.tables import metadata
from tests.cluster.postgres import PostgresServer, execute, query

pytestmark = pytest.mark.cluster


def test_several_servers_at_once_make_the_tables_that_the_code_uses(
    database_url: str, tmp_path: Path
) -> None:
    stores = [Store(tmp_path, database_url) for _ in range(4)]
    with ThreadPoolExecutor(len(stores)) as pool:
        list(pool.map(Store.migrate, stores))
    for store in stores:
        store.close()
    engine = create_engine(database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, metadata) == []
    engine.dispose()
    assert query(database_url, "SELECT version_num FROM alembic_version") == [(newest_version(),)]
    assert list(tmp_path.iterdir()) == []


def test_it_is_said_where_the_answer_to_the_last_step_was_lost(database_url: str, tmp_path: Path) -> None:
    def end_at_the_commit(connection: Connection, names: Collection[str]) -> None:
        assert metadata.tables.keys() <= set(names)
        connection.exec_driver_sql(
            "CREATE FUNCTION end_it() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$"
        )
        connection.exec_driver_sql(
            "CREATE CONSTRAINT TRIGGER end_it AFTER INSERT ON usage DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION end_it()"
        )
        connection.exec_driver_sql("INSERT INTO usage (id, found, recorded) VALUES (1, 1, 1)")

    with closing(Database(tmp_path, database_url)) as database:
        with pytest.raises(
            StorageFault, match=r"either all is in the PostgreSQL database .* now, or nothing"
        ):
            database.fill(end_at_the_commit)
        assert database.version() is None
        with pytest.raises(StorageFault) as early:
            database.fill(
                lambda connection, names: connection.exec_driver_sql(
                    "SELECT pg_terminate_backend(pg_backend_pid())"
                )
            )
        assert "either all" not in early.value.detail


def test_tables_of_an_earlier_version_are_brought_forward(database_url: str, tmp_path: Path) -> None:
    with closing(Store(tmp_path, database_url)) as store:
        store.migrate()
        store.jobs.create(JobRecord("job_1", "training", {"epochs": 3}))
        database = Database(tmp_path, database_url)
        with closing(database), database.write() as connection:
            config = Config()
            config.set_main_option("script_location", "app.store:migrations")
            config.attributes["connection"] = connection
            command.downgrade(config, "0018")
        with pytest.raises(StorageUnavailable, match="of version 0018"):
            store.probe()
    with closing(Store(tmp_path, database_url)) as store:
        store.migrate()
        store.probe()
        assert store.jobs.get("job_1").request == {"epochs": 3}


def test_a_database_of_a_newer_version_or_of_another_program_is_left_alone(
    database_url: str, postgres: PostgresServer, tmp_path: Path
) -> None:
    with closing(Store(tmp_path, database_url)) as store:
        execute(database_url, "CREATE TABLE jobs (number integer)")
        with pytest.raises(Unavailable, match="tables of another program"):
            store.migrate()
        execute(database_url, "DROP TABLE jobs")
        execute(database_url, "CREATE TABLE theirs (number integer)")  # beside which there is room
        store.migrate()
        execute(database_url, "UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(Unavailable, match="newer version") as caught:
            store.migrate()
    assert "a-secret" not in str(caught.value)
    assert query(database_url, "SELECT version_num FROM alembic_version") == [("9999",)]
    with postgres.connect() as connection:
        connection.execute("CREATE DATABASE odd ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    with closing(Store(tmp_path, postgres.url("odd"))) as store, pytest.raises(Unavailable, match="UTF8"):
        store.migrate()


def test_a_server_that_is_not_there_says_so_without_its_address(tmp_path: Path) -> None:
    address = "postgresql+psycopg://somebody:a-secret@127.0.0.1:1/rows"
    with closing(Store(tmp_path, address)) as store:
        assert "a-secret" not in store.place
        for call in (store.migrate, store.probe, store.jobs.active):
            with pytest.raises(StorageUnavailable, match="cannot be reached") as caught:
                call()
            assert "a-secret" not in str(caught.value)
            assert "a-secret" not in repr(caught.value.__cause__)
        assert store.counters() is None


def test_what_no_text_of_postgresql_holds_is_found_nowhere_and_replaced_where_it_is_stored(
    database_url: str, tmp_path: Path
) -> None:
    with closing(Store(tmp_path, database_url)) as store:
        store.migrate()
        store.jobs.create(JobRecord("job_1", "training", {"name": "a", "note": "\0 \\u0000"}))
        assert store.jobs.page(10, name="\0").data == ()
        (found,) = store.jobs.page(10, name="a").data
        assert found.request["note"] == "\ufffd \\u0000"
        store.architectures.create(ArchitectureRecord("arch_1", "b\0", {}))
        assert store.architectures.get("arch_1").name == "b\ufffd"


def test_a_row_of_another_shape_stops_nothing_but_itself(database_url: str, tmp_path: Path) -> None:
    with closing(Store(tmp_path, database_url)) as store:
        store.migrate()
        for name in ("job_1", "job_2"):
            store.jobs.create(JobRecord(name, "training", {"name": name, "tags": ["t"]}))
        execute(database_url, "UPDATE jobs SET request = '[1]' WHERE id = 'job_1'")
        assert [job.id for job in store.jobs.page(10).data] == ["job_2"]
        assert [job.id for job in store.jobs.page(10, tag="t").data] == ["job_2"]
        assert [row.id for row in store.files.unreadable()] == ["job_1"]
        claimed = store.jobs.claim_next(["training"])
        assert claimed is not None
        assert (claimed.id, store.jobs.state("job_1").status) == ("job_2", "failed")
        assert store.figures.read().jobs == {("training", "failed"): 1, ("training", "running"): 1}
