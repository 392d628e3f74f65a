"""Jobs that train more than a head: what the frozen layers below make of each picture, maps, is computed once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from app.api.requests.training_jobs import TrainingJobRequest
from app.builtin.digits import DIGITS_CLASSES, DIGITS_SHAPE
from app.files import paths
from app.jobs.accept.training import new_job
from app.jobs.requests import TrainingRequest
from app.states import JobStatus
from app.store.records import JobRecord, ModelRecord
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.inputs.preprocessing import Preprocessing
from engine.model.model_file import Model, model_bytes, read_model
from engine.recipe.losses import SoftmaxCrossEntropy
from tests.jobs.service import DATASET, HELD_OUT, Service, new_service, until

MODEL = "model_01deep"
NETWORK = {
    "input_shape": DIGITS_SHAPE,
    "layers": [
        {"type": "conv2d", "filters": 16, "kernel_size": 3, "padding": "same", "activation": "relu"},
        {"type": "conv2d", "filters": 32, "kernel_size": 3, "padding": "same", "bias": False},
        {"type": "batch_norm", "activation": "relu"},
        {"type": "max_pool2d"},
        {"type": "conv2d", "filters": 40, "kernel_size": 3, "padding": "same", "activation": "relu"},
        {"type": "global_average_pool2d"},
        {"type": "dense", "units": 10},
    ],
}
"""Most of the work is below the last convolution, and that is enough for plans."""
CUT, MAP, FEATURES = "max_pool2d_1", 14 * 14 * 32, 40
STEPS = 16
BODY: dict[str, Any] = {
    "initial_weights": MODEL,
    "dataset": DATASET,
    "train": {"from": "conv2d_3"},
    "head_epochs": 2,
    "epochs": 6,
    "batch_size": 16,
    "seed": 3,
}


def add_model(service: Service) -> None:
    """Store a model with drawn weights."""
    architecture = Architecture.model_validate(NETWORK)
    weights = Network.build(architecture).initial_weights(1)
    preprocessing = Preprocessing(mean=(0.1,), deviation=(0.3,))
    picture = {"image_shape": list(DIGITS_SHAPE)}
    metadata = {"name": "deep", "picture": picture}
    model = Model(
        architecture, DIGITS_CLASSES, preprocessing, SoftmaxCrossEntropy(), weights, metadata, "class"
    )
    written = service.artifacts.write(paths.model(MODEL), model_bytes(model))
    service.store.models.create(
        ModelRecord(
            id=MODEL,
            name="deep",
            path=written.name,
            sha256=written.sha256,
            bytes=written.bytes,
            classes=list(DIGITS_CLASSES),
            input_shape=list(DIGITS_SHAPE),
            preprocessing={"picture": picture, **preprocessing.model_dump(mode="json")},
            architecture=architecture.document(),
        )
    )


def accepted(
    service: Service, changes: dict[str, Any] | None = None, settings: dict[str, Any] | None = None
) -> JobRecord:
    request = TrainingJobRequest.model_validate(BODY | (changes or {}))
    return new_job(request, service.store, service.artifacts, service.settings(**(settings or {})))


def trained(service: Service, job: JobRecord) -> JobRecord:
    ended = service.wait_end(service.store.jobs.create(job).id)
    assert ended.status is JobStatus.SUCCEEDED, service.log(ended.id, ended.attempt)
    return ended


def computed(service: Service, job: JobRecord) -> list[int]:
    """Return of how many pictures an attempt has computed the features, each time that it needed some."""
    lines = service.log(job.id, job.attempt).splitlines()
    return [int(line.rpartition(", ")[2].split()[0]) for line in lines if "features of" in line]


def weights(service: Service, job: JobRecord) -> dict[str, np.ndarray]:
    record = service.store.models.get(job.model_id or "")
    return dict(read_model(service.artifacts.local_path(record.path)).weights)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with new_service(tmp_path_factory.mktemp("maps")) as service:
        add_model(service)
        service.run(cores=2)
        yield service


FEW = {"epochs": 2, "head_epochs": 1}


@pytest.fixture(scope="module")
def short(shared: Service) -> JobRecord:
    """A job of an epoch for the head, and one for the rest."""
    return trained(shared, accepted(shared, FEW))


@pytest.fixture(scope="module")
def undisturbed(shared: Service) -> JobRecord:
    return trained(shared, accepted(shared))


@pytest.mark.slow
def test_maps_are_computed_once_for_all_epochs_and_later_jobs(
    shared: Service, undisturbed: JobRecord
) -> None:
    head, rest = TrainingRequest.of(undisturbed).features
    assert (head.until_epoch, head.node, head.bytes) == (
        2,
        "global_average_pool2d_1",
        4 * FEATURES * shared.images,
    )
    assert (rest.until_epoch, rest.node, rest.bytes) == (6, CUT, 4 * MAP * shared.images)
    assert head.cached
    assert rest.cached
    assert computed(shared, undisturbed) == [shared.images] * 2
    again = trained(shared, accepted(shared))
    assert computed(shared, again) == [0, 0]
    one, other = (shared.store.models.get(job.model_id or "") for job in (undisturbed, again))
    assert one.sha256 == other.sha256


@pytest.mark.slow
def test_the_result_is_that_of_running_every_layer_in_every_epoch(shared: Service, short: JobRecord) -> None:
    record = accepted(shared, FEW, {"max_feature_bytes": 4 * FEATURES * shared.images})
    head, rest = TrainingRequest.of(record).features
    assert head.cached
    assert not rest.cached
    assert f"{4 * MAP * shared.images} bytes are more than the" in (rest.reason or "")
    slow = trained(shared, record)
    assert len(computed(shared, slow)) == 1
    found, expected = weights(shared, short), weights(shared, slow)
    before = weights(shared, JobRecord("job_none", "training", {}, model_id=MODEL))
    for name, weight in expected.items():
        # plans fold batch norm into the convolution before it: sums are rounded otherwise
        np.testing.assert_allclose(found[name], weight, rtol=1e-2, atol=1e-4, err_msg=name)
    learnt = {name for name, weight in before.items() if (found[name] != weight).any()}
    assert learnt == {"conv2d_3/weight", "conv2d_3/bias", "dense_1/weight", "dense_1/bias"}
    rows = [shared.store.jobs.metrics(job.id) for job in (short, slow)]
    for one, other in zip(*rows, strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], rel=1e-3)
        assert one["dev_loss"] == pytest.approx(other["dev_loss"], rel=1e-3)


@pytest.mark.slow
def test_a_job_that_is_killed_on_maps_ends_with_the_same_bytes(
    service: Service, shared: Service, undisturbed: JobRecord
) -> None:
    add_model(service)
    service.run(cores=2)
    job_id = service.store.jobs.create(accepted(service)).id
    until(lambda: (service.job(job_id).checkpoint or {}).get("step", 0) > 3 * STEPS, "a checkpoint")
    with suppress(ProcessLookupError):
        os.kill(service.worker(job_id), signal.SIGKILL)
    job = service.wait_end(job_id)
    assert job.attempt == 2
    assert computed(service, job) == [0]
    found = service.store.models.get(job.model_id or "").sha256
    assert found == shared.store.models.get(undisturbed.model_id or "").sha256
    epochs = [row["epoch"] for row in service.store.jobs.metrics(job_id)]
    assert epochs == list(range(1, 7))


def test_a_job_goes_on_from_the_checkpoint_of_one(shared: Service, short: JobRecord) -> None:
    request = TrainingJobRequest(continue_from=short.id, epochs=1)
    record = new_job(request, shared.store, shared.artifacts, shared.settings())
    assert [stage.cached for stage in TrainingRequest.of(record).features] == [True, True]
    job = trained(shared, record)
    assert computed(shared, job) == [0]
    assert [row["epoch"] for row in shared.store.jobs.metrics(job.id)] == [3]


@pytest.mark.slow
def test_variants_of_augmented_pictures_are_kept_as_maps(shared: Service) -> None:
    flip = {"augmentations": [{"type": "horizontal_flip"}], "variants": 2}
    record = accepted(shared, flip)
    head, rest = TrainingRequest.of(record).features
    train = shared.images - 2 * HELD_OUT
    # the head learns from pictures as they are
    assert head.bytes == 4 * FEATURES * shared.images
    assert rest.bytes == 4 * MAP * (shared.images + train)
    before = len(shared.artifacts.names(paths.FEATURES))
    job = trained(shared, record)
    assert computed(shared, job)[-1] == train
    assert len(shared.artifacts.names(paths.FEATURES)) > before


@pytest.mark.parametrize(
    ("changes", "settings", "reason"),
    [
        ({"train": "all"}, {}, "the first layers learn"),
        ({"train": {"from": "conv2d_2"}}, {}, "most of the work is in the layers that learn"),
        ({"augmentations": [{"type": "mixup"}]}, {}, "mixed pictures are new in every epoch"),
        (
            {"augmentations": [{"type": "horizontal_flip"}], "variants": 0},
            {},
            "augmented pictures are new in every epoch",
        ),
        ({}, {"max_feature_bytes": 100_000}, "more than the 100000 that may be kept"),
    ],
)
def test_a_job_says_why_every_epoch_runs_all_layers(
    shared: Service, changes: dict[str, Any], settings: dict[str, Any], reason: str
) -> None:
    head, rest = TrainingRequest.of(accepted(shared, changes, settings)).features
    assert head.cached
    assert not rest.cached
    assert reason in (rest.reason or "")
