"""What any store promises about architectures, data sets and models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from app.errors import Conflict, Invalid, NotFound
from app.ids import ARCHITECTURE, DATASET, JOB, MODEL, PRETRAINED, new_id
from app.jobs.kinds import BATCH_PREDICTION, INGESTION, TRAINING
from app.states import JobStatus
from app.store import Store
from app.store.records import (
    ArchitectureRecord,
    DatasetContents,
    DatasetRecord,
    JobRecord,
    ModelRecord,
    SegmentRecord,
)


def architecture(**changes: object) -> ArchitectureRecord:
    document = {"format_version": 1, "layers": [{"type": "dense", "units": 3, "name": None, "rate": 0.1}]}
    return replace(ArchitectureRecord(new_id(ARCHITECTURE), "net", document), **changes)


def model(**changes: object) -> ModelRecord:
    record = ModelRecord(
        id=new_id(MODEL),
        name="digits",
        path="models/x.safetensors",
        sha256="00",
        bytes=2**40,
        classes=["a", "b"],
        input_shape=[2, 2, 1],
        preprocessing={"mean": [0.5]},
        architecture={"layers": []},
    )
    return replace(record, **changes)


def segment(dataset_id: str, number: int = 1) -> SegmentRecord:
    return SegmentRecord(dataset_id, number, 5, f"datasets/{dataset_id}/segment-000{number}", "ab")


def contents(dataset_id: str) -> DatasetContents:
    return DatasetContents(
        classes=[{"name": "cat", "images": 4}, {"name": "dog", "images": 6}],
        splits={"train": 8, "dev": 1, "test": 1},
        image_shape=[28, 28, 1],
        images=10,
        bytes=7840,
        report={"skipped": [{"name": "notes.txt", "reason": "no picture"}]},
        fingerprint="cd",
        segments=(segment(dataset_id), segment(dataset_id, 2)),
    )


class TestRecords:
    def test_come_back_as_they_were_stored(self, store: Store) -> None:
        record = architecture(name="größe 図", created_at=datetime(2024, 5, 6, 7, 8, 9, 10, UTC))
        assert store.architectures.create(record) == record
        assert store.architectures.get(record.id) == record
        given = model(version=7, metrics={"test_accuracy": 0.1 + 0.2, "note": None})
        assert store.models.create(given) == store.models.get(given.id) == given

    def test_times_come_back_in_utc(self, store: Store) -> None:
        local = datetime(2024, 5, 6, 1, 0, tzinfo=timezone(timedelta(hours=-7)))
        record = store.architectures.create(architecture(created_at=local))
        found = store.architectures.get(record.id).created_at
        assert found == local
        assert found.utcoffset() == timedelta(0)

    def test_survive_closing(self, open_store: Callable[[], Store]) -> None:
        first = open_store()
        first.migrate()
        record = first.architectures.create(architecture())
        first.close()
        second = open_store()
        second.migrate()
        assert second.architectures.get(record.id) == record

    def test_numbers_that_json_lacks_are_refused(self, store: Store) -> None:
        with pytest.raises(Exception, match="JSON compliant"):
            store.architectures.create(architecture(architecture={"rate": float("nan")}))
        assert store.architectures.page(10).data == ()

    def test_what_is_not_there_is_not_found(self, store: Store) -> None:
        for repository in (store.architectures, store.datasets, store.jobs, store.models):
            with pytest.raises(NotFound, match="'nothing'"):
                repository.get("nothing")
            with pytest.raises(NotFound, match="'nothing'"):
                repository.delete("nothing")

    def test_deleted_is_gone(self, store: Store) -> None:
        record = store.architectures.create(architecture())
        store.architectures.delete(record.id)
        with pytest.raises(NotFound):
            store.architectures.get(record.id)

    def test_built_in_stays(self, store: Store) -> None:
        store.architectures.create(architecture(id="arch_example", builtin=True))
        store.datasets.create(DatasetRecord("digits", "digits", status="ready", builtin=True))
        store.models.create(model(id="model_example", builtin=True))
        job = JobRecord("job_example", TRAINING.name, {}, status=JobStatus.SUCCEEDED, builtin=True)
        store.jobs.create(job)
        for repository, identifier in (
            (store.architectures, "arch_example"),
            (store.datasets, "digits"),
            (store.models, "model_example"),
            (store.jobs, "job_example"),
        ):
            with pytest.raises(Conflict, match="built in"):
                repository.delete(identifier)
            assert repository.get(identifier).builtin


class TestPages:
    def test_newest_first_without_gap_or_repetition(self, store: Store) -> None:
        start = datetime(2024, 1, 1, tzinfo=UTC)
        # Pairs of equal times, in an order of insertion that is not that of time.
        records = [architecture(created_at=start + timedelta(seconds=n // 2)) for n in (5, 0, 3, 2, 1, 4, 6)]
        for record in records:
            store.architectures.create(record)
        expected = sorted(records, key=lambda record: (record.created_at, record.id), reverse=True)
        seen: list[ArchitectureRecord] = []
        after = None
        for size in (3, 3, 1):
            page = store.architectures.page(3, after)
            assert len(page.data) == size
            seen.extend(page.data)
            after = page.next
        assert after is None
        assert seen == expected

    def test_a_full_last_page_has_no_next(self, store: Store) -> None:
        for _ in range(2):
            store.architectures.create(architecture())
        assert store.architectures.page(2).next is None

    def test_an_unknown_cursor_is_refused(self, store: Store) -> None:
        with pytest.raises(Invalid) as caught:
            store.models.page(3, "model_gone")
        assert caught.value.errors[0].parameter == "after"


class TestModels:
    def test_versions_count_up_by_name(self, store: Store) -> None:
        versions = [store.models.create(model(name=name)).version for name in ("a", "b", "a", "a")]
        assert versions == [1, 1, 2, 3]

    def test_a_version_exists_once(self, store: Store) -> None:
        store.models.create(model(version=3))
        with pytest.raises(Conflict, match="already"):
            store.models.create(model(version=3))

    def test_deleting_returns_the_path_of_its_file(self, store: Store) -> None:
        record = store.models.create(model())
        assert store.models.delete(record.id) == record.path


class TestDatasets:
    def test_becomes_ready_with_its_segments(self, store: Store) -> None:
        record = DatasetRecord(new_id(DATASET), "pets", options={"fit": "pad"})
        store.datasets.create(record)
        assert store.datasets.get(record.id).status == "ingesting"
        assert store.datasets.find_segments(record.id) == ()
        found = contents(record.id)
        ready = store.datasets.finish(record.id, found)
        assert ready == store.datasets.get(record.id)
        assert (ready.status, ready.options) == ("ready", {"fit": "pad"})
        for name in ("classes", "splits", "image_shape", "images", "bytes", "report", "fingerprint"):
            assert getattr(ready, name) == getattr(found, name)
        assert store.datasets.find_segments(record.id) == found.segments
        store.datasets.add_segment(segment(record.id, 3))
        assert [entry.number for entry in store.datasets.find_segments(record.id)] == [1, 2, 3]

    def test_is_filled_once(self, store: Store) -> None:
        record = store.datasets.create(DatasetRecord(new_id(DATASET), "pets"))
        store.datasets.finish(record.id, contents(record.id))
        with pytest.raises(Conflict, match="ready"):
            store.datasets.finish(record.id, contents(record.id))
        store.datasets.fail(record.id, {"code": "late", "message": "too late"})
        assert store.datasets.get(record.id).status == "ready"

    def test_can_fail(self, store: Store) -> None:
        record = store.datasets.create(DatasetRecord(new_id(DATASET), "pets"))
        error = {"code": "no_images", "message": "there is no picture in it"}
        store.datasets.fail(record.id, error)
        found = store.datasets.get(record.id)
        assert (found.status, found.error) == ("failed", error)

    def test_segments_go_with_it(self, store: Store) -> None:
        record = store.datasets.create(DatasetRecord(new_id(DATASET), "pets"))
        store.datasets.finish(record.id, contents(record.id))
        store.datasets.delete(record.id)
        assert store.datasets.find_segments(record.id) == ()

    def test_stays_while_a_job_needs_it(self, store: Store) -> None:
        record = store.datasets.create(DatasetRecord(new_id(DATASET), "pets", status="ready"))
        assert not store.datasets.in_use(record.id)
        job = store.jobs.create(JobRecord(new_id(JOB), TRAINING.name, {}, dataset_id=record.id))
        assert store.datasets.in_use(record.id)
        with pytest.raises(Conflict, match="not finished"):
            store.datasets.delete(record.id)
        store.jobs.request_cancel(job.id)
        assert not store.datasets.in_use(record.id)
        store.datasets.delete(record.id)
        assert store.jobs.get(job.id).dataset_id == record.id

    def test_is_created_together_with_its_job(self, store: Store) -> None:
        record = DatasetRecord(new_id(DATASET), "pets")
        job = JobRecord(new_id(JOB), INGESTION.name, {"upload": "uploads/x"}, dataset_id=record.id)
        store.datasets.create(record, job)
        assert store.jobs.get(job.id) == job
        with pytest.raises(Conflict, match="already"):
            store.datasets.create(replace(record, id=new_id(DATASET)), job)
        assert len(store.datasets.page(10).data) == 1


def test_a_model_that_comes_with_the_package_is_removed_once(store: Store) -> None:
    """Several servers that are to be without it may start at once."""
    store.models.create(model(id=PRETRAINED, builtin=True))
    store.models.delete(PRETRAINED, builtin=True)
    with pytest.raises(NotFound):
        store.models.delete(PRETRAINED, builtin=True)


def test_a_model_stays_for_as_long_as_a_job_needs_it(store: Store) -> None:
    kept, gone = store.models.create(model()), model()
    job = JobRecord(new_id(JOB), BATCH_PREDICTION.name, {}, model_id=kept.id)
    store.jobs.create(job)
    with pytest.raises(Conflict, match=job.id):
        store.models.delete(kept.id)
    store.jobs.request_cancel(job.id)
    store.models.delete(kept.id)
    with pytest.raises(NotFound, match=gone.id):
        store.jobs.create(JobRecord(new_id(JOB), BATCH_PREDICTION.name, {}, model_id=gone.id))
