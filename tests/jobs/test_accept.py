"""What is settled when a job is accepted, without any process."""

from __future__ import annotations

import pytest

from app.api.requests.evaluations import EvaluationCreate
from app.api.requests.training_jobs import TrainingJobRequest
from app.builtin.install import MODEL_ID, install
from app.errors import Invalid
from app.files import paths
from app.jobs.accept.evaluation import new_evaluation
from app.jobs.accept.training import new_job
from app.jobs.kinds import ADDITION, TRAINING
from app.jobs.requests import AdditionRequest
from app.store.records import JobRecord
from tests.jobs.service import DATASET, SMALL_NETWORK, Service


def accept(service: Service, **body: object) -> JobRecord:
    request = TrainingJobRequest.model_validate(body)
    return new_job(request, service.store, service.artifacts, service.settings())


def add_pictures(service: Service) -> str:
    request = AdditionRequest(dataset_id=DATASET, files=())
    return service.store.jobs.create(ADDITION.job(request, dataset_id=DATASET)).id


def finished_job(service: Service, images: int) -> str:
    job_id = service.train(epochs=1, dataset_images=images)
    service.store.jobs.claim_next([TRAINING.name])
    name = service.artifacts.write(paths.checkpoint(job_id, 1, 16), b"weights").name
    service.store.jobs.record_checkpoint(job_id, 1, {"name": name, "epoch": 1, "step": 16})
    service.store.jobs.fail(job_id, 1, {"code": "internal", "message": "stop"})
    return job_id


def test_pictures_that_are_being_added_are_mentioned(service: Service) -> None:
    before = finished_job(service, service.images)
    bodies: list[dict[str, object]] = [
        {"architecture": SMALL_NETWORK, "dataset": DATASET, "epochs": 30},
        {"continue_from": before},
    ]
    assert [accept(service, **body).request["warnings"] for body in bodies] == [[], []]
    addition = add_pictures(service)
    for body in bodies:
        (warning,) = accept(service, **body).request["warnings"]
        assert addition in warning
        assert "being added" in warning
    service.store.jobs.request_cancel(addition)
    assert accept(service, **bodies[0]).request["warnings"] == []


def test_going_on_with_fewer_pictures_than_there_are_is_mentioned(service: Service) -> None:
    fewer = service.images - 10
    job = accept(service, continue_from=finished_job(service, fewer))
    assert job.request["dataset_images"] == fewer
    (warning,) = job.request["warnings"]
    assert f"has {service.images} pictures now" in warning
    assert f"the {fewer} of job" in warning


def test_an_evaluation_mentions_it_as_well(service: Service) -> None:
    install(service.store, service.artifacts)
    request = EvaluationCreate(model=MODEL_ID, dataset=DATASET)
    before = new_evaluation(request, service.store, service.settings()).request["warnings"]
    addition = add_pictures(service)
    (*same, warning) = new_evaluation(request, service.store, service.settings()).request["warnings"]
    assert same == before
    assert addition in warning


@pytest.mark.parametrize("reference", [MODEL_ID, "lenet-5-digits@1", "lenet-5-digits@example"])
def test_a_job_starts_from_a_model_by_any_of_its_names(service: Service, reference: str) -> None:
    install(service.store, service.artifacts)
    job = accept(service, architecture={"preset": "lenet-5"}, dataset=DATASET, initial_weights=reference)
    assert job.request["initial_weights"] == MODEL_ID
    assert service.artifacts.exists(paths.initial(job.id))


def test_a_name_that_no_model_has_is_refused(service: Service) -> None:
    with pytest.raises(Invalid) as refused:
        accept(service, architecture=SMALL_NETWORK, dataset=DATASET, initial_weights="lenet-5-digits@7")
    assert refused.value.errors[0].pointer == "/initial_weights"
