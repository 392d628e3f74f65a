"""Every implementation of the store and of the artifacts, under the tests that each has to pass."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.files.artifacts import Artifacts
from app.files.bucket.opening import open_artifacts
from app.settings import Settings
from app.store import Store
from app.store.database import DATABASE_NAME
from tests.cluster.postgres import execute

STORES = ["sqlite", pytest.param("postgres", marks=pytest.mark.cluster)]
ARTIFACTS = ["local", pytest.param("bucket", marks=pytest.mark.cluster)]


@pytest.fixture(params=STORES)
def address(request: pytest.FixtureRequest) -> str | None:
    """The address of an empty PostgreSQL database; None where an SQLite file is to be one."""
    return None if request.param == "sqlite" else str(request.getfixturevalue("database_url"))


@pytest.fixture
def open_store(address: str | None, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Opens the same store again and again, as several processes would."""
    opened: list[Store] = []

    def open_one() -> Store:
        store = Store(tmp_path / "data", address)
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[[], Store]) -> Store:
    """An empty store."""
    store = open_store()
    store.migrate()
    return store


@pytest.fixture
def by_hand(address: str | None, tmp_path: Path) -> Callable[[str], None]:
    """Has a statement executed by nobody who knows of stores."""

    def change(statement: str) -> None:
        if address is not None:
            execute(address, statement)
            return
        file = tmp_path / "data" / DATABASE_NAME
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.execute(statement)

    return change


@pytest.fixture(params=ARTIFACTS)
def artifacts(request: pytest.FixtureRequest, tmp_path: Path) -> Artifacts:
    """Empty artifacts."""
    root = tmp_path / "artifacts"
    root.mkdir()
    given = {}
    if request.param == "bucket":
        server, prefix = request.getfixturevalue("s3"), request.getfixturevalue("prefix")
        given = {name.lower(): value for name, value in server.settings(prefix).items()}
    return open_artifacts(Settings(data_dir=root, **given))
