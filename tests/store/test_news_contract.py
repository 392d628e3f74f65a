"""What happened to all jobs, in the order in which it happened."""

from __future__ import annotations

from app.jobs.kinds import TRAINING
from app.store import Store
from app.store.records import JobRecord


def queue(store: Store) -> str:
    return store.jobs.create(JobRecord(TRAINING.new_id(), TRAINING.name, {})).id


def test_events_of_all_jobs_have_an_order_that_never_goes_back(store: Store) -> None:
    first = [queue(store), queue(store)]
    assert store.jobs.claim_next([TRAINING.name]) is not None
    events = store.news.events(0).events
    assert [event.job_id for event in events[-3:]] == [*first, first[0]]
    positions = [event.position for event in events]
    assert positions == sorted(set(positions))
    before = store.news.counter()
    assert before == positions[-1]
    assert store.news.events(before).events == ()

    store.jobs.delete(first[1])
    # those of the job are gone, and nothing gets their positions again
    last = queue(store)
    (event,) = store.news.events(before).events
    assert (event.job_id, event.job_kind, event.number) == (last, "training", 1)
    assert event.position > before
    assert {event.job_id for event in store.news.events(0).events}.isdisjoint({first[1]})

    left = [event for event in events if event.job_id != first[1]]
    page = store.news.events(0, limit=1)
    assert (list(page.events), page.more) == (left[:1], True)
    rest = store.news.events(page.last, before)
    assert (list(rest.events), rest.more) == (left[1:], False)
    assert store.news.events(0, kinds=["ingestion"]).events == ()
