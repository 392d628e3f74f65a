"""An upgrade of rows in PostgreSQL is tried on copies of the tables within it, of which nothing stays."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config

from app.care import upgrade as upgrades
from app.care.backup import back_up
from app.care.check import check
from app.care.errors import CareError
from app.care.repository import Repository
from app.care.upgrade import Upgrade, try_upgrade, upgrade
from app.errors import Unavailable
from app.jobs.duties import LEASE
from app.settings import Settings
from app.store import Store
from app.store.database import Database, newest_version
from app.store.records import JobRecord
from app.store.snapshots import count_rows
from tests.care.installation import as_json, at, restored
from tests.cluster.postgres import execute, query

pytestmark = pytest.mark.cluster

_OLD = "0018"
_ALL = (
    "SELECT n.nspname, c.relname, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname NOT LIKE 'pg_%' AND n.nspname != 'information_schema' ORDER BY 1, 2"
)


@pytest.fixture
def old(database_url: str, tmp_path: Path) -> Settings:
    """An installation whose tables are of an earlier version."""
    settings = Settings(data_dir=tmp_path / "data", database_url=database_url)
    with closing(Store(settings.data_dir, database_url)) as store:
        store.migrate()
        store.jobs.create(JobRecord("job_1", "training", {"epochs": 3}))
    with closing(Database(settings.data_dir, database_url)) as database, database.write() as connection:
        config = Config()
        config.set_main_option("script_location", "app.store:migrations")
        config.attributes["connection"] = connection
        command.downgrade(config, _OLD)
    return settings


def version(settings: Settings) -> str | None:
    with closing(Database(settings.data_dir, settings.database)) as database:
        return database.version()


def test_it_is_tried_beside_a_server_and_leaves_nothing(old: Settings, database_url: str) -> None:
    before = query(database_url, _ALL)
    with closing(Store(old.data_dir, database_url)) as store:
        assert store.leases.take(LEASE, "host process 0", 60.0) is not None
    tried = try_upgrade(old)
    assert [step for step, _ in tried.steps] == [
        f"{n:04}" for n in range(int(_OLD) + 1, int(newest_version()) + 1)
    ]
    assert (tried.tables, tried.free_bytes, tried.kept) == (_OLD, None, None)
    assert tried.needed_bytes > 0
    assert (version(old), query(database_url, _ALL)) == (_OLD, before)
    with pytest.raises(CareError, match="stop the server first"):
        upgrade(old)


def test_it_keeps_the_rows_as_they_were(old: Settings) -> None:
    done = upgrade(old)
    assert version(old) == newest_version()
    assert done.kept is not None
    kept = at(done.kept.parent)
    assert version(kept) == _OLD
    assert count_rows(kept.data_dir)["jobs"] == 1
    assert check(old).findings == []


def test_a_server_that_started_meanwhile_is_not_disturbed(
    old: Settings, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start_and_try(settings: Settings) -> Upgrade:
        with closing(Store(old.data_dir, database_url)) as store:
            assert store.leases.take(LEASE, "host process 0", 60.0) is not None
        return try_upgrade(settings)

    monkeypatch.setattr(upgrades, "try_upgrade", start_and_try)
    with pytest.raises(CareError, match="stop the server first"):
        upgrade(old)
    assert version(old) == _OLD


def test_one_that_would_fail_is_not_begun(old: Settings, database_url: str) -> None:
    execute(database_url, "ALTER TABLE jobs ADD COLUMN origin integer")  # as a later version does
    with pytest.raises(Unavailable, match="already exists"):
        upgrade(old)
    assert version(old) == _OLD
    assert not (old.data_dir / "before-upgrade").exists()


def test_a_backup_of_an_earlier_version_is_one(old: Settings, tmp_path: Path) -> None:
    target = Repository.make(tmp_path / "backups")
    assert back_up(old, target).manifest.tables == _OLD
    target.close()
    with closing(Store(restored(target.directory, tmp_path / "new"))) as store:
        assert store.jobs.get("job_1").request == {"epochs": 3}


def test_it_is_checked_as_it_is(old: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in old.environment(secrets=True).items():
        monkeypatch.setenv(name, value)
    (found,) = as_json("check", status=1)["findings"]
    assert f"tables of version {_OLD}" in found["fault"]
