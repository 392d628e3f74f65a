"""A job whose worker could not write goes back to the queue at no cost, and says what it waits for."""

from __future__ import annotations

from app.states import JobStatus
from app.store import Store
from tests.store.test_jobs_contract import claim, queue


def test_one_that_could_not_write_says_so_until_it_is_claimed_again(store: Store) -> None:
    job = queue(store)
    claim(store, job)
    store.jobs.beat(job, 1, {"step": 5})
    assert store.jobs.requeue(job, 1, storage="full") is JobStatus.QUEUED
    waits = store.jobs.get(job)
    assert (waits.waits_for_storage, waits.attempt, waits.progress["step"]) == ("full", 0, 5)
    again = claim(store, job)
    assert (again.waits_for_storage, again.attempt, again.progress) == (None, 1, {"step": 5})
