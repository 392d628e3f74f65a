"""Many who write at once, in several processes: nothing is done twice, lost, or numbered out of order."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.ids import JOB, new_id
from app.store import Store
from app.store.news import JobEvent
from app.store.records import ArchitectureRecord, JobRecord
from tests.cluster import writers
from tests.cluster.writers import KIND, Place, together

pytestmark = pytest.mark.cluster


@pytest.fixture
def place(database_url: str, tmp_path: Path) -> Place:
    return tmp_path / "data", database_url


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with closing(Store(*place)) as store:
        store.migrate()
        yield store


def test_no_job_is_claimed_twice(store: Store, place: Place) -> None:
    jobs = {store.jobs.create(JobRecord(new_id(JOB), KIND, {})).id for _ in range(40)}
    claimed = [job for part in together(writers.claim, place) for job in part]
    assert sorted(claimed) == sorted(jobs)
    assert {store.jobs.get(job).attempt for job in jobs} == {1}
    made = store.models.page(100).data
    assert sorted(record.version for record in made) == list(range(1, len(made) + 1))
    assert {store.jobs.get(job).model_id for job in jobs} - {None} == {record.id for record in made}


def test_versions_have_neither_gaps_nor_doubles_and_an_alias_stands_for_one(
    store: Store, place: Place
) -> None:
    versions = [version for part in together(writers.name_models, place) for version in part]
    assert sorted(versions) == list(range(1, len(versions) + 1))
    (alias,) = store.models.aliases("digits")
    assert store.models.get(alias.model_id).version in versions


def test_under_one_key_one_thing_is_created_and_all_are_told_which(store: Store, place: Place) -> None:
    told = together(writers.create_once, place)
    assert len({tuple(part) for part in told}) == 1
    assert store.architectures.identifiers() == set(told[0])


def test_what_is_deleted_twice_is_missed_the_second_time(store: Store, place: Place) -> None:
    for turn in range(10):
        store.architectures.create(ArchitectureRecord(f"arch_{turn}", "a", {}))
    deleted = [turn for part in together(writers.delete_all, place) for turn in part]
    assert sorted(deleted) == list(range(10))


def test_uses_are_noted_by_all(store: Store, place: Place) -> None:
    made = [store.models.create(writers.model("used")).id for _ in range(5)]
    for noted in together(writers.use, place):
        assert sorted(noted) == sorted(made)


def test_events_appear_in_the_order_of_their_positions_and_none_behind_those_that_were_read(
    store: Store, place: Place
) -> None:
    read: list[JobEvent] = []
    done = threading.Event()

    def follow() -> None:
        with closing(Store(*place)) as mine:
            last = False
            while not last:
                last = done.is_set()
                found = mine.news.events(read[-1].position if read else 0)
                read.extend(found.events)

    reader = threading.Thread(target=follow)
    reader.start()
    try:
        left = [job for part in together(writers.happen, place) for job in part]
    finally:
        done.set()
        reader.join()
    positions = [event.position for event in read]
    assert positions == sorted(set(positions))
    # of the jobs that are left, every event was seen as it was read
    seen = Counter(event.job_id for event in read)
    for job in left:
        events = store.news.events(0, job_ids=[job]).events
        assert [event.number for event in events] == list(range(1, len(events) + 1))
        assert seen[job] == len(events)
    assert store.news.counter() >= positions[-1]
