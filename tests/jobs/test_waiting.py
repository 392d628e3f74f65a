"""Jobs that wait for their data set: what is decided, by whom and when, without any process."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from app.api.pictures import PictureSpec
from app.api.requests.evaluations import EvaluationCreate
from app.api.requests.training_jobs import TrainingJobRequest
from app.builtin.digits import DIGITS_CLASSES, DIGITS_SHAPE
from app.builtin.install import MODEL_ID, install
from app.datasets.options import DatasetOptions
from app.errors import Conflict, Invalid, LeaseLost
from app.files import paths
from app.jobs import quota
from app.jobs.accept.evaluation import new_evaluation
from app.jobs.accept.training import new_job
from app.jobs.kinds import KINDS, TRAINING
from app.jobs.waiting import decide_waiting
from app.states import JobStatus
from app.store.database import DATABASE_NAME
from app.store.records import DatasetContents, DatasetRecord, JobRecord
from engine.graph.architecture import Architecture
from tests.jobs.service import DATASET, SMALL_NETWORK, Service

COMING = "ds_coming"


@pytest.fixture
def coming(service: Service) -> Service:
    """A service with a data set of digits that is still being filled, and the examples."""
    install(service.store, service.artifacts)
    options = DatasetOptions(picture=PictureSpec(image_shape=DIGITS_SHAPE)).model_dump(mode="json")
    record = DatasetRecord(COMING, "numbers", image_shape=list(DIGITS_SHAPE), options=options)
    service.store.datasets.create(record)
    return service


def arrive(service: Service) -> None:
    """Fill the data set, as a worker does at its end; nobody here looks at its pictures."""
    classes = [{"name": name, "images": 50} for name in DIGITS_CLASSES]
    splits = {"train": 400, "dev": 50, "test": 50}
    contents = DatasetContents(classes, splits, list(DIGITS_SHAPE), images=500, bytes=1)
    service.store.datasets.finish(COMING, contents)


def accept(service: Service, **body: object) -> JobRecord:
    request = TrainingJobRequest.model_validate({"dataset": COMING} | body)
    return new_job(request, service.store, service.artifacts, service.settings())


def wait(service: Service, **body: object) -> str:
    job = accept(service, **body)
    assert job.waits_for == COMING
    return service.store.jobs.create(job).id


def decide(service: Service, **settings: Any) -> None:
    decide_waiting(service.store, service.artifacts, service.settings(**settings))


BODIES: dict[str, dict[str, Any]] = {
    "a data set alone": {},
    "some of it": {"epochs": 7, "tags": ["a"], "name": "mine", "description": "text"},
    "written out": {"architecture": SMALL_NETWORK, "optimizer": {"type": "sgd", "learning_rate": 0.1}},
    "a preset": {"architecture": {"preset": "lenet-5"}, "freeze": ["conv2d_1"], "early_stopping": {"patience": 2}},
    "a preset that is fitted": {"architecture": {"preset": "vgg-small"}, "defaults": "auto", "batch_size": 50},
    "a stored one": {"architecture": "arch_example", "augmentations": [{"type": "rotation", "degrees": 5}]},
    "fine-tuning": {"architecture": {"preset": "lenet-5"}, "initial_weights": MODEL_ID},
    "transfer": {"initial_weights": MODEL_ID},
    "more than the head": {"initial_weights": MODEL_ID, "train": {"from": "dense_2"}, "head_epochs": 3},
}  # fmt: skip


@pytest.mark.parametrize("body", BODIES.values(), ids=list(BODIES))
def test_it_becomes_the_job_that_would_be_made_of_the_request_now(
    coming: Service, body: dict[str, Any]
) -> None:
    job_id = wait(coming, **body)
    arrive(coming)
    assert coming.store.jobs.claim_next([TRAINING.name]) is None
    assert not coming.artifacts.exists(paths.initial(job_id))
    decide(coming)
    job, now = coming.job(job_id), accept(coming, **body)
    assert job.waits_for is None
    assert job.status is JobStatus.QUEUED
    assert job.request == now.request
    assert (job.progress, job.memory_bytes) == (now.progress, now.memory_bytes)
    assert coming.artifacts.exists(paths.initial(job_id)) == ("initial_weights" in body)
    claimed = coming.store.jobs.claim_next([TRAINING.name])
    assert claimed is not None
    assert claimed.id == job_id


def test_an_evaluation_does_so_as_well(coming: Service) -> None:
    request = EvaluationCreate(model="lenet-5-digits@example", dataset="numbers")
    job_id = coming.store.jobs.create(new_evaluation(request, coming.store, coming.settings())).id
    arrive(coming)
    decide(coming)
    assert coming.job(job_id).request == new_evaluation(request, coming.store, coming.settings()).request


def test_a_model_that_is_a_head_alone_is_refused_at_once_and_later(coming: Service) -> None:
    layers = [{"type": "flatten"}, {"type": "dense", "units": 10}]
    flat = Architecture.model_validate({"input_shape": DIGITS_SHAPE, "layers": layers}).document()
    model = replace(coming.store.models.get(MODEL_ID), id="model_flat", name="flat", architecture=flat)
    coming.store.models.create(model)
    for dataset in (COMING, DATASET):
        with pytest.raises(Invalid, match="all weights of model 'model_flat' are in its head"):
            accept(coming, initial_weights="flat", dataset=dataset)


def test_it_is_decided_once(coming: Service) -> None:
    job_id = wait(coming, initial_weights=MODEL_ID)
    decide(coming)
    assert coming.job(job_id).waits_for == COMING  # nothing to be decided yet
    arrive(coming)
    first, second = (
        KINDS["training"].load_decide()(coming.job(job_id), coming.store, coming.artifacts, coming.settings())
        for _ in range(2)
    )
    coming.store.waiting_jobs.decide(first)
    with pytest.raises(Conflict):
        coming.store.waiting_jobs.decide(second)
    coming.store.waiting_jobs.refuse(job_id, {"code": "invalid", "message": "late"})
    assert coming.job(job_id).status is JobStatus.QUEUED
    decide(coming)
    assert coming.job(job_id).request == first.request


def _cancel(service: Service, job_id: str) -> None:
    service.store.jobs.request_cancel(job_id)


def _delete(service: Service, job_id: str) -> None:
    service.store.jobs.delete(job_id)


@pytest.mark.parametrize("end", [_cancel, _delete])
def test_one_that_is_ended_while_it_is_decided_leaves_nothing(
    coming: Service, monkeypatch: pytest.MonkeyPatch, end: Callable[[Service, str], None]
) -> None:
    job_id = wait(coming, initial_weights=MODEL_ID)
    arrive(coming)
    found = coming.store.waiting_jobs.decide

    def late(job: JobRecord) -> None:
        assert coming.artifacts.exists(paths.initial(job_id))
        end(coming, job_id)
        found(job)

    monkeypatch.setattr(coming.store.waiting_jobs, "decide", late)
    decide(coming)
    assert not coming.artifacts.exists(paths.initial(job_id))
    assert coming.store.waiting_jobs.due() == ()
    assert coming.store.datasets.get(COMING).status == "ready"


@pytest.mark.parametrize("end", [_cancel, _delete])
def test_to_end_one_does_not_end_its_data_set(coming: Service, end: Callable[[Service, str], None]) -> None:
    end(coming, wait(coming))
    assert coming.store.datasets.get(COMING).status == "ingesting"


def test_who_has_lost_the_lease_decides_nothing(coming: Service) -> None:
    job_id = wait(coming)
    arrive(coming)
    lease = coming.store.leases.take("duties", "one", 60.0)
    assert lease is not None
    coming.store.leases.release(lease)
    assert coming.store.leases.take("duties", "another", 60.0) is not None
    with pytest.raises(LeaseLost):
        decide_waiting(coming.store.under(lease), coming.artifacts, coming.settings())
    assert coming.job(job_id).waits_for == COMING
    decide(coming)
    assert coming.job(job_id).waits_for is None


def test_a_data_set_that_is_ready_by_the_time_the_job_is_stored(coming: Service) -> None:
    job = accept(coming)
    arrive(coming)
    coming.store.jobs.create(job)
    decide(coming)
    assert coming.job(job.id).waits_for is None


def test_a_data_set_that_has_failed_by_then(coming: Service) -> None:
    job = accept(coming)
    coming.store.datasets.fail(COMING, {"code": "invalid", "message": "no pictures"})
    with pytest.raises(Conflict, match="failed"):
        coming.store.jobs.create(job)


def test_what_it_cannot_be_made_of_fails_it_and_no_other(coming: Service) -> None:
    damaged, large = wait(coming), wait(coming, architecture={"preset": "resnet-20"}, batch_size=512)
    gone = wait(coming, architecture=coming.store.architectures.create(stored(coming)).id)
    unreadable, good = wait(coming), wait(coming)
    with closing(sqlite3.connect(coming.data_dir / DATABASE_NAME)) as database, database:
        changed = json.dumps(coming.job(damaged).request | {"epochs": "many"})
        database.execute("UPDATE jobs SET request = ? WHERE id = ?", (changed, damaged))
        database.execute("UPDATE jobs SET request = 'no JSON' WHERE id = ?", (unreadable,))
        database.execute("DELETE FROM architectures WHERE id = 'arch_mine'")
    arrive(coming)
    decide(coming, max_training_bytes=400 << 20)
    errors = {job_id: coming.job(job_id).error or {} for job_id in (damaged, large, gone)}
    assert "epochs" in errors[damaged]["message"]
    assert errors[large]["code"] == "memory_limit_exceeded"
    assert "a batch_size of" in errors[large]["message"]
    assert "arch_mine" in errors[gone]["message"]
    assert all(coming.store.jobs.state(job_id).status is JobStatus.FAILED for job_id in (*errors, unreadable))
    assert coming.job(good).waits_for is None
    assert coming.job(good).status is JobStatus.QUEUED


def stored(service: Service) -> Any:
    example = service.store.architectures.get("arch_example")
    return type(example)("arch_mine", "mine", example.architecture)


def test_a_full_data_directory_fails_it(coming: Service) -> None:
    job_id = wait(coming)
    settings = coming.settings(max_data_bytes=1000)
    quota.measure(coming.store, coming.artifacts, settings)
    arrive(coming)
    decide(coming, max_data_bytes=1000)
    assert (coming.job(job_id).error or {})["code"] == "quota_exceeded"
