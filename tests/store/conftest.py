"""Every implementation of the store and of the artifacts, under the tests that each has to pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.files.artifacts import Artifacts, LocalArtifacts
from app.store import Store

STORES: dict[str, Callable[[Path], Store]] = {"sqlite": Store}
ARTIFACTS: dict[str, Callable[[Path], Artifacts]] = {"local": LocalArtifacts}


@pytest.fixture(params=STORES)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Opens the same store again and again, as several processes would."""
    opened: list[Store] = []

    def open_one() -> Store:
        store = STORES[request.param](tmp_path / "data")
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


@pytest.fixture(params=ARTIFACTS)
def artifacts(request: pytest.FixtureRequest, tmp_path: Path) -> Artifacts:
    """Empty artifacts."""
    root = tmp_path / "artifacts"
    root.mkdir()
    return ARTIFACTS[request.param](root)
