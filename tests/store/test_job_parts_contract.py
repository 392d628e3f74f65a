"""What any store promises about parts of jobs: made once, ended and deleted with their job, and nowhere to be seen."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from app.errors import StaleAttempt
from app.ids import new_id, sibling
from app.jobs.kinds import BATCH_PART, BATCH_PREDICTION
from app.states import ATTEMPTS, JobStatus
from app.store import Store
from app.store.records import JobRecord, now

ERROR = {"code": "invalid", "message": "no model"}


def divided(store: Store, count: int = 3) -> JobRecord:
    """Return a job that has parts, of which none has begun."""
    store.jobs.create(JobRecord(new_id("batch"), BATCH_PREDICTION.name, {}))
    job = claim(store, BATCH_PREDICTION.name)
    store.job_parts.create(job.id, job.attempt, parts(job, count))
    return job


def parts(job: JobRecord, count: int) -> list[JobRecord]:
    prefix = sibling(job.id, "part")
    return [JobRecord(f"{prefix}_{place:04}", BATCH_PART.name, {}, part_of=job.id) for place in range(count)]


def claim(store: Store, kind: str) -> JobRecord:
    job = store.jobs.claim_next([kind])
    assert job is not None
    return job


def states(store: Store, job: JobRecord) -> list[str]:
    return [str(part.status) for part in store.job_parts.of(job.id)]


def lose(store: Store, job: JobRecord) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        assert attempt == job.attempt or claim(store, BATCH_PREDICTION.name).attempt == attempt
        store.jobs.lost(job.id, attempt)


def cancel(store: Store, job: JobRecord) -> None:
    store.jobs.request_cancel(job.id)
    store.jobs.cancelled(job.id, job.attempt)


ENDS: dict[str, Callable[[Store, JobRecord], object]] = {
    "failed": lambda store, job: store.jobs.fail(job.id, job.attempt, ERROR),
    "cancelled": cancel,
    "lost": lose,
    "cancelled while it waits": lambda store, job: (
        store.jobs.requeue(job.id, job.attempt),
        store.jobs.request_cancel(job.id),
    ),
}


def test_parts_are_made_once_and_claimed_in_order(store: Store) -> None:
    job = divided(store)
    store.jobs.requeue(job.id, job.attempt)
    again = claim(store, BATCH_PREDICTION.name)
    store.job_parts.create(job.id, again.attempt, parts(job, 5))
    assert states(store, job) == ["queued"] * 3
    names = [claim(store, BATCH_PART.name).id for _ in range(3)]
    assert names == sorted(names) == list(store.job_parts.identifiers(job.id))
    store.jobs.lost(job.id, again.attempt)
    with pytest.raises(StaleAttempt):
        store.job_parts.create(job.id, again.attempt, parts(job, 1))


@pytest.mark.parametrize("how", ENDS)
def test_the_end_of_a_job_ends_its_parts(store: Store, how: str) -> None:
    job, other = divided(store), divided(store)
    done, runs = claim(store, BATCH_PART.name), claim(store, BATCH_PART.name)
    store.jobs.succeed(done.id, 1)
    ENDS[how](store, job)
    assert states(store, job) == ["succeeded", "cancelling", "cancelled"]
    assert states(store, other) == ["queued"] * 3
    store.jobs.fail(runs.id, 1, ERROR)
    assert states(store, job) == ["succeeded", "cancelled", "cancelled"]


def test_a_part_that_fails_says_why_and_leaves_the_others(store: Store) -> None:
    job = divided(store)
    store.jobs.fail(claim(store, BATCH_PART.name).id, 1, ERROR)
    assert states(store, job) == ["failed", "queued", "queued"]
    failed, other, _ = store.job_parts.of(job.id)
    assert failed.error == ERROR
    assert store.job_parts.troubled(job.id, 5) == (failed.id,)
    store.jobs.lost(claim(store, BATCH_PART.name).id, 1)
    claim(store, BATCH_PART.name)
    assert store.job_parts.troubled(job.id, 5) == (failed.id, other.id)
    assert store.job_parts.troubled(job.id, 1) == (failed.id,)
    assert store.jobs.state(job.id).status is JobStatus.RUNNING


def test_nobody_sees_them(store: Store) -> None:
    job = divided(store)
    part = claim(store, BATCH_PART.name)
    store.jobs.beat(part.id, 1, {"images": 1})
    look = store.news.look(0, [])
    assert {event.job_id for event in look.events.events} == {job.id}
    assert [running.job_id for running in look.progress] == [job.id]
    assert store.jobs.page(50, kind=BATCH_PREDICTION.name).data == (store.jobs.get(job.id),)
    store.jobs.fail(job.id, 1, ERROR)
    ends, _ = store.finished_jobs.ended(0)
    assert [end.id for end in ends] == [job.id]
    assert store.finished_jobs.checkpoints() == {job.id: None}
    counted = store.figures.read()
    assert counted.jobs == {(BATCH_PREDICTION.name, "failed"): 1}
    assert counted.oldest_queued == {}


def test_what_parts_found_is_spent_when_both_they_and_their_job_are_over(store: Store) -> None:
    job, other = divided(store), divided(store)
    done, runs, left = (claim(store, BATCH_PART.name) for _ in range(3))
    of_other = claim(store, BATCH_PART.name)
    for part in (done, runs, of_other):
        store.jobs.record_checkpoint(part.id, 1, {"parts": 1})
    store.jobs.succeed(done.id, 1)
    store.jobs.succeed(of_other.id, 1)
    assert store.job_parts.spent() == ()
    store.jobs.fail(job.id, job.attempt, ERROR)
    assert store.job_parts.spent() == (done.id,)
    store.job_parts.forget(runs.id)
    for part in (runs, left):
        store.jobs.cancelled(part.id, 1)
    assert store.job_parts.spent() == (done.id, runs.id)
    store.job_parts.forget(done.id)
    assert store.job_parts.spent() == (runs.id,)
    assert [part.checkpoint is None for part in store.job_parts.of(other.id)] == [False, True, True]


def test_they_are_deleted_with_their_job_and_only_then(store: Store) -> None:
    job, other = divided(store), divided(store)
    claim(store, BATCH_PART.name)
    store.jobs.fail(job.id, 1, ERROR)
    assert store.finished_jobs.expired(now() + timedelta(days=1)) == (job.id,)
    store.jobs.delete(job.id)
    assert store.jobs.identifiers() == {other.id, *store.job_parts.identifiers(other.id)}
