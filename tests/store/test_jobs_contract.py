"""What any store promises about jobs: legal changes only, one claim each, and no write by the dead."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import product

import pytest

from app.errors import Conflict, NotFound, StaleAttempt
from app.ids import DATASET, JOB, MODEL, new_id
from app.jobs.kinds import INGESTION, TRAINING
from app.states import ATTEMPTS, TRANSITIONS, JobStatus
from app.store import Store
from app.store.records import (
    DatasetContents,
    DatasetRecord,
    JobRecord,
    ModelRecord,
    SegmentRecord,
)

ERROR = {"code": "non_finite", "message": "the loss is not finite"}


def queue(store: Store, kind: str = TRAINING.name) -> str:
    return store.jobs.create(JobRecord(new_id(JOB), kind, {"epochs": 3})).id


def claim(store: Store, job_id: str) -> JobRecord:
    job = store.jobs.claim_next([TRAINING.name])
    assert job is not None
    assert job.id == job_id
    return job


def model() -> ModelRecord:
    return ModelRecord(new_id(MODEL), "m", "models/m", "00", 1, ["a"], [1, 1, 1], {}, {})


REACH: dict[JobStatus, Callable[[Store, str], object]] = {
    JobStatus.QUEUED: lambda store, job: None,
    JobStatus.RUNNING: claim,
    JobStatus.CANCELLING: lambda store, job: (claim(store, job), store.jobs.request_cancel(job)),
    JobStatus.SUCCEEDED: lambda store, job: (claim(store, job), store.jobs.succeed(job, 1)),
    JobStatus.FAILED: lambda store, job: (claim(store, job), store.jobs.fail(job, 1, ERROR)),
    JobStatus.CANCELLED: lambda store, job: store.jobs.request_cancel(job),
}

WORKER: dict[str, Callable[[Store, str, int], object]] = {
    "succeed": lambda store, job, attempt: store.jobs.succeed(job, attempt),
    "fail": lambda store, job, attempt: store.jobs.fail(job, attempt, ERROR),
    "cancelled": lambda store, job, attempt: store.jobs.cancelled(job, attempt),
    "requeue": lambda store, job, attempt: store.jobs.requeue(job, attempt),
    "lost": lambda store, job, attempt: store.jobs.lost(job, attempt),
    "record_epoch": lambda store, job, attempt: store.jobs.record_epoch(job, attempt, {"epoch": 1}),
    "record_checkpoint": lambda store, job, attempt: store.jobs.record_checkpoint(
        job, attempt, {"name": "x"}
    ),
}

# What each write does to a job that a worker has; the rest of the table is that it is refused.
OUTCOMES = {
    (JobStatus.RUNNING, "succeed"): JobStatus.SUCCEEDED,
    (JobStatus.RUNNING, "fail"): JobStatus.FAILED,
    (JobStatus.RUNNING, "requeue"): JobStatus.QUEUED,
    (JobStatus.RUNNING, "lost"): JobStatus.QUEUED,
    (JobStatus.RUNNING, "record_epoch"): JobStatus.RUNNING,
    (JobStatus.RUNNING, "record_checkpoint"): JobStatus.RUNNING,
    (JobStatus.CANCELLING, "succeed"): JobStatus.SUCCEEDED,
    (JobStatus.CANCELLING, "fail"): JobStatus.CANCELLED,
    (JobStatus.CANCELLING, "cancelled"): JobStatus.CANCELLED,
    (JobStatus.CANCELLING, "requeue"): JobStatus.CANCELLED,
    (JobStatus.CANCELLING, "lost"): JobStatus.CANCELLED,
    (JobStatus.CANCELLING, "record_epoch"): JobStatus.CANCELLING,
    (JobStatus.CANCELLING, "record_checkpoint"): JobStatus.CANCELLING,
}


class TestTransitions:
    @pytest.mark.parametrize(("status", "write"), list(product(JobStatus, WORKER)))
    def test_a_worker_can_do_only_what_is_legal(self, store: Store, status: JobStatus, write: str) -> None:
        job = queue(store)
        REACH[status](store, job)
        before = store.jobs.get(job)
        assert before.status is status
        expected = OUTCOMES.get((status, write))
        if expected is None:
            with pytest.raises(StaleAttempt):
                WORKER[write](store, job, before.attempt)
            assert store.jobs.get(job) == before
            return
        WORKER[write](store, job, before.attempt)
        after = store.jobs.get(job)
        assert after.status is expected
        assert expected is status or expected in TRANSITIONS[status]
        assert (after.finished_at is not None) == expected.finished

    @pytest.mark.parametrize("status", JobStatus)
    def test_cancelling(self, store: Store, status: JobStatus) -> None:
        job = queue(store)
        REACH[status](store, job)
        if status.finished:
            with pytest.raises(Conflict, match=str(status)):
                store.jobs.request_cancel(job)
            return
        expected = JobStatus.CANCELLED if status is JobStatus.QUEUED else JobStatus.CANCELLING
        assert store.jobs.request_cancel(job).status is expected
        assert store.jobs.get(job).status is expected

    @pytest.mark.parametrize("status", JobStatus)
    def test_only_the_queued_are_claimed(self, store: Store, status: JobStatus) -> None:
        job = queue(store)
        REACH[status](store, job)
        claimed = store.jobs.claim_next([TRAINING.name])
        assert (claimed is not None) == (status is JobStatus.QUEUED)

    @pytest.mark.parametrize("status", JobStatus)
    def test_deleting(self, store: Store, status: JobStatus) -> None:
        job = queue(store)
        REACH[status](store, job)
        if status.active:
            with pytest.raises(Conflict, match="cancel it"):
                store.jobs.delete(job)
            assert store.jobs.get(job).status is status
            return
        store.jobs.delete(job)
        with pytest.raises(NotFound):
            store.jobs.get(job)

    def test_a_beat_says_whether_to_go_on(self, store: Store) -> None:
        job = queue(store)
        assert store.jobs.beat(job, 0, {}) == "stale"
        claim(store, job)
        assert store.jobs.beat(job, 1, {"step": 5}) == "go"
        store.jobs.request_cancel(job)
        assert store.jobs.beat(job, 1, {"step": 6}) == "cancel"
        found = store.jobs.get(job)
        assert (found.heartbeat, found.progress) == (2, {"step": 6})
        store.jobs.cancelled(job, 1)
        assert store.jobs.beat(job, 1, {"step": 7}) == "stale"
        assert store.jobs.get(job).progress == {"step": 6}


class TestFence:
    @pytest.mark.parametrize("write", WORKER)
    def test_writes_of_another_attempt_are_refused(self, store: Store, write: str) -> None:
        job = queue(store)
        claim(store, job)
        store.jobs.lost(job, 1)
        claim(store, job)
        store.jobs.beat(job, 2, {"step": 9})
        if write == "cancelled":
            store.jobs.request_cancel(job)
        before = store.jobs.get(job)
        for attempt in (1, 3):
            with pytest.raises(StaleAttempt):
                WORKER[write](store, job, attempt)
            assert store.jobs.beat(job, attempt, {"step": 1}) == "stale"
        with pytest.raises(StaleAttempt):
            WORKER[write](store, "job_gone", 1)
        assert store.jobs.get(job) == before
        assert store.jobs.metrics(job) == []

    def test_a_late_success_makes_no_model(self, store: Store) -> None:
        job = queue(store)
        claim(store, job)
        store.jobs.lost(job, 1)
        with pytest.raises(StaleAttempt):
            store.jobs.succeed(job, 1, model=model())
        assert store.models.page(10).data == ()


class TestAttempts:
    def test_the_last_death_is_a_failure(self, store: Store) -> None:
        job = queue(store)
        for attempt in range(1, ATTEMPTS + 1):
            assert claim(store, job).attempt == attempt
            store.jobs.lost(job, attempt)
        found = store.jobs.get(job)
        assert found.status is JobStatus.FAILED
        assert found.error is not None
        assert found.error["code"] == "worker_lost"
        assert found.finished_at is not None

    def test_a_drain_costs_none(self, store: Store) -> None:
        job = queue(store)
        started = claim(store, job).started_at
        assert started is not None
        for _ in range(ATTEMPTS + 2):
            store.jobs.requeue(job, 1)
            assert claim(store, job).attempt == 1
        store.jobs.lost(job, 1)
        assert claim(store, job).attempt == 2
        assert store.jobs.get(job).started_at == started


class TestClaims:
    def test_the_oldest_first_and_by_kind(self, store: Store) -> None:
        first, second = queue(store), queue(store)
        other = queue(store, INGESTION.name)
        claimed = [store.jobs.claim_next([TRAINING.name]) for _ in range(3)]
        assert [job and job.id for job in claimed] == [first, second, None]
        ingestion = store.jobs.claim_next([INGESTION.name])
        assert ingestion is not None
        assert ingestion.id == other
        assert ingestion.status is JobStatus.RUNNING
        store.jobs.lost(first, 1)
        queue(store)
        assert claim(store, first).attempt == 2

    def test_some_can_be_left_alone(self, store: Store) -> None:
        first, second = queue(store), queue(store)
        job = store.jobs.claim_next([TRAINING.name], skip=[first])
        assert job is not None
        assert job.id == second
        assert store.jobs.claim_next([TRAINING.name], skip=[first]) is None

    def test_each_job_goes_to_one(self, open_store: Callable[[], Store], store: Store) -> None:
        jobs = {queue(store) for _ in range(12)}
        stores = [open_store() for _ in range(4)]

        def claim_all(mine: Store) -> list[str]:
            claimed = []
            while (job := mine.jobs.claim_next([TRAINING.name])) is not None:
                claimed.append(job.id)
            return claimed

        with ThreadPoolExecutor(len(stores)) as pool:
            claimed = [job for part in pool.map(claim_all, stores) for job in part]
        assert len(claimed) == len(jobs)
        assert set(claimed) == jobs

    def test_active_jobs_in_short(self, store: Store) -> None:
        job, other = queue(store), queue(store)
        claim(store, job)
        store.jobs.beat(job, 1, {})
        (pulse,) = store.jobs.active()
        assert (pulse.id, pulse.kind, pulse.attempt, pulse.heartbeat) == (job, TRAINING.name, 1, 1)
        store.jobs.request_cancel(job)
        assert [pulse.status for pulse in store.jobs.active()] == [JobStatus.CANCELLING]
        assert store.jobs.identifiers() == {job, other}


class TestResults:
    def test_epochs_in_order_and_once(self, store: Store) -> None:
        job = queue(store)
        claim(store, job)
        for epoch, loss in ((1, 3.0), (2, 2.0), (10, 1.0), (2, 1.5)):
            store.jobs.record_epoch(job, 1, {"epoch": epoch, "train_loss": loss})
        assert [(row["epoch"], row["train_loss"]) for row in store.jobs.metrics(job)] == [
            (1, 3.0),
            (2, 1.5),
            (10, 1.0),
        ]
        assert store.jobs.get(job).metrics == {"epoch": 2, "train_loss": 1.5}
        with pytest.raises(NotFound):
            store.jobs.metrics("job_gone")

    def test_epochs_go_with_their_job(self, store: Store) -> None:
        job = store.jobs.create(JobRecord(new_id(JOB), TRAINING.name, {}), epochs=[{"epoch": 1}]).id
        assert store.jobs.metrics(job) == [{"epoch": 1}]
        store.jobs.delete(job)
        store.jobs.create(JobRecord(job, TRAINING.name, {}))
        assert store.jobs.metrics(job) == []

    def test_a_checkpoint_gives_the_one_before(self, store: Store) -> None:
        job = queue(store)
        claim(store, job)
        assert store.jobs.record_checkpoint(job, 1, {"name": "a"}) is None
        assert store.jobs.record_checkpoint(job, 1, {"name": "b"}) == {"name": "a"}
        assert store.jobs.get(job).checkpoint == {"name": "b"}

    def test_success_brings_the_model(self, store: Store) -> None:
        job = queue(store)
        claim(store, job)
        made = model()
        store.jobs.succeed(job, 1, model=made)
        assert store.jobs.get(job).model_id == made.id
        assert store.models.get(made.id).version == 1

    def test_a_model_that_cannot_be_stored_leaves_the_job_as_it_was(self, store: Store) -> None:
        job = queue(store)
        before = claim(store, job)
        made = store.models.create(model())
        with pytest.raises(Conflict, match="already"):
            store.jobs.succeed(job, 1, model=made)
        assert store.jobs.get(job) == before

    def test_lists_by_kind_and_status(self, store: Store) -> None:
        done, waiting = queue(store), queue(store)
        queue(store, INGESTION.name)
        claim(store, done)
        store.jobs.succeed(done, 1)
        assert [job.id for job in store.jobs.page(10, kind=TRAINING.name).data] == [waiting, done]
        assert [job.id for job in store.jobs.page(10, status=JobStatus.SUCCEEDED).data] == [done]
        assert [job.kind for job in store.jobs.page(10, kind=INGESTION.name).data] == [INGESTION.name]


class TestEvents:
    def test_all_that_happens_in_order_and_once(self, store: Store) -> None:
        job = queue(store)
        claim(store, job)
        store.jobs.record_epoch(job, 1, {"epoch": 1})
        store.jobs.lost(job, 1)
        claim(store, job)
        store.jobs.record_epoch(job, 2, {"epoch": 2})
        store.jobs.request_cancel(job)
        store.jobs.cancelled(job, 2)
        events = list(store.news.events(0, job_ids=[job]).events)
        assert [event.number for event in events] == list(range(1, len(events) + 1))
        told = [(event.kind, event.data.get("status") or event.data["epoch"]) for event in events]
        assert told == [
            ("status", "queued"),
            ("status", "running"),
            ("epoch", 1),
            ("status", "queued"),
            ("status", "running"),
            ("epoch", 2),
            ("status", "cancelling"),
            ("status", "cancelled"),
            ("end", "cancelled"),
        ]
        assert store.news.events(store.news.position(job, 7), job_ids=[job]).events == tuple(events[7:])
        assert store.news.events(store.news.position(job, 9), job_ids=[job]).events == ()
        assert store.news.look(0, ["job_gone", job]).gone == {"job_gone"}

    def test_a_cancel_that_meets_the_end(self, open_store: Callable[[], Store], store: Store) -> None:
        stores = [open_store(), open_store()]
        for _ in range(20):
            job = queue(store)
            claim(store, job)

            def cancel(job: str = job) -> None:
                with suppress(Conflict):
                    stores[0].jobs.request_cancel(job)

            with ThreadPoolExecutor(2) as pool:
                both = [pool.submit(cancel), pool.submit(stores[1].jobs.succeed, job, 1)]
            for call in both:
                call.result()
            events = store.news.events(0, job_ids=[job]).events
            assert [event.data["status"] for event in events if event.kind == "end"] == ["succeeded"]
            assert events[-1].kind == "end"


class TestDatasetsOfJobs:
    def dataset(self, store: Store) -> tuple[str, str]:
        record = DatasetRecord(new_id(DATASET), "pets")
        job = JobRecord(new_id(JOB), INGESTION.name, {}, dataset_id=record.id)
        store.datasets.create(record, job)
        return record.id, job.id

    def test_training_needs_a_ready_one(self, store: Store) -> None:
        dataset, _ = self.dataset(store)
        with pytest.raises(Conflict, match="ingesting"):
            store.jobs.create(JobRecord(new_id(JOB), TRAINING.name, {}, dataset_id=dataset))
        with pytest.raises(NotFound, match="data set 'ds_gone'"):
            store.jobs.create(JobRecord(new_id(JOB), TRAINING.name, {}, dataset_id="ds_gone"))
        assert store.jobs.page(10, kind=TRAINING.name).data == ()

    def test_ingestion_fills_it_in_the_same_moment(self, store: Store) -> None:
        dataset, job = self.dataset(store)
        store.jobs.claim_next([INGESTION.name])
        segments = (SegmentRecord(dataset, 1, 3, "datasets/x/segment-0001", "ab"),)
        found = DatasetContents(
            [{"name": "a", "images": 3}], {"train": 3}, [1, 1, 1], 3, 3, segments=segments
        )
        store.jobs.succeed(job, 1, contents=found)
        assert store.datasets.get(dataset).status == "ready"
        assert store.datasets.find_segments(dataset) == segments

    @pytest.mark.parametrize("end", ["fail", "cancel", "delete", "lost"])
    def test_one_that_will_not_be_filled_fails_with_its_job(self, store: Store, end: str) -> None:
        dataset, job = self.dataset(store)
        if end == "cancel":
            store.jobs.request_cancel(job)
        elif end == "delete":
            store.jobs.delete(job)
        elif end == "fail":
            store.jobs.claim_next([INGESTION.name])
            store.jobs.fail(job, 1, ERROR)
        else:
            for attempt in range(1, ATTEMPTS + 1):
                assert store.datasets.get(dataset).status == "ingesting"
                store.jobs.claim_next([INGESTION.name])
                store.jobs.lost(job, attempt)
        found = store.datasets.get(dataset)
        assert found.status == "failed"
        assert found.error is not None
        codes = {"fail": "non_finite", "lost": "worker_lost"}
        assert found.error["code"] == codes.get(end, "cancelled")
