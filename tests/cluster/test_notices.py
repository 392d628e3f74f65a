"""What is kept in memory is given up as soon as PostgreSQL tells of a change, and not used while it cannot tell."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app.store import Store
from app.store.records import ArchitectureRecord, JobRecord
from tests.cluster.postgres import PostgresServer, execute
from tests.store.databases import heard

pytestmark = pytest.mark.cluster


@pytest.fixture
def stores(database_url: str, tmp_path: Path) -> Iterator[tuple[Store, Store]]:
    """Two of one database, as two servers have it."""
    with (
        closing(Store(tmp_path / "here", database_url)) as here,
        closing(Store(tmp_path / "there", database_url)) as there,
    ):
        here.migrate()
        yield heard(here), there


def keep(store: Store, identifier: str) -> Any:
    """Read an architecture, and keep it in memory; return it from there."""
    read = store.architectures.get
    limit = time.monotonic() + 60
    while (held := store.cache.find(read, identifier)) is None:
        counters = store.cache.counters(read)
        value = read(identifier)
        if counters is not None:
            store.cache.keep(counters, value, store.cache.weigh(value), read, identifier)
        assert time.monotonic() < limit
    return held.value


def test_what_others_commit_is_heard_of(stores: tuple[Store, Store], wait_for: Callable[..., Any]) -> None:
    here, there = stores
    there.architectures.create(ArchitectureRecord("arch_1", "a", {}))
    for _ in range(5):
        assert keep(here, "arch_1").name == "a"
        there.architectures.delete("arch_1")
        read = here.architectures.get
        wait_for(lambda read=read: here.cache.find(read, "arch_1") is None, "the notice")
        there.architectures.create(ArchitectureRecord("arch_1", "a", {}))


def test_what_this_process_commits_counts_at_once(stores: tuple[Store, Store]) -> None:
    here, _ = stores
    for _ in range(20):
        here.architectures.create(ArchitectureRecord("arch_1", "a", {}))
        keep(here, "arch_1")
        here.architectures.delete("arch_1")
        assert here.cache.find(here.architectures.get, "arch_1") is None


def test_what_goes_with_what_is_deleted_counts_at_once_too(stores: tuple[Store, Store]) -> None:
    here, _ = stores
    here.jobs.create(JobRecord("job_1", "training", {}))
    here.jobs.request_cancel("job_1")
    time.sleep(0.5)  # for the notices of that
    raised: list[str] = []
    counted = here.changes.raise_
    here.changes.raise_ = lambda tables: (raised.extend(tables), counted(raised))  # type: ignore[attr-defined]
    here.jobs.delete("job_1")
    assert {"jobs", "job_events"} <= set(raised)


def test_changes_of_other_tables_leave_it_in_memory(
    stores: tuple[Store, Store], wait_for: Callable[..., Any]
) -> None:
    here, there = stores
    here.architectures.create(ArchitectureRecord("arch_1", "a", {}))
    time.sleep(0.5)  # for the notice of that
    keep(here, "arch_1")
    before = here.counters()
    there.jobs.create(JobRecord("job_1", "training", {}))
    wait_for(lambda: here.counters() != before, "the notice")
    assert here.cache.find(here.architectures.get, "arch_1") is not None


def test_whoever_runs_jobs_is_woken(stores: tuple[Store, Store], wait_for: Callable[..., Any]) -> None:
    here, there = stores
    woken: list[float] = []
    here.when_jobs_change(lambda: woken.append(time.monotonic()))
    there.jobs.create(JobRecord("job_1", "training", {}))
    wait_for(lambda: woken, "the call")


def test_nothing_is_answered_from_memory_while_the_connection_is_lost(
    stores: tuple[Store, Store], database_url: str, postgres: PostgresServer, wait_for: Callable[..., Any]
) -> None:
    here, _ = stores
    here.architectures.create(ArchitectureRecord("arch_1", "a", {}))
    keep(here, "arch_1")
    postgres.kill()
    wait_for(lambda: here.counters() is None, "the loss")
    assert here.cache.find(here.architectures.get, "arch_1") is None
    postgres.start()
    execute(database_url, "UPDATE architectures SET name = 'b'")  # by nobody who is heard of
    wait_for(lambda: here.counters() is not None, "the new connection")
    assert here.cache.find(here.architectures.get, "arch_1") is None
    assert keep(here, "arch_1").name == "b"
