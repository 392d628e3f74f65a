"""Jobs that train on features: computed once, kept, read again, and gone with what they belong to."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from app.api.requests.dataset_pictures import Correction
from app.api.requests.training_jobs import TrainingJobRequest
from app.builtin.install import MODEL_ID, install
from app.datasets.correct import plan
from app.datasets.storage import open_dataset
from app.files import paths
from app.files.features import delete_features, feature_file, shrink_features
from app.jobs.accept.training import new_job
from app.jobs.cleanup import Cleanup
from app.jobs.quota import check, measure
from app.jobs.work.features import FeatureFiles
from app.states import JobStatus
from app.store.records import JobRecord
from app.web.answers.norms import norms_chart, training_norms
from engine.augmentations import augment
from engine.graph.network import Network
from engine.layers import Context
from engine.model.model_file import read_model
from engine.training.features import FeatureExtractor
from engine.training.head import all_but, head_nodes
from engine.training.loop import TrainingConfig, preparation
from engine.training.transfer import freeze
from engine.training.trunk import split_network
from tests.jobs.service import DATASET, HELD_OUT, Service, new_service, until

EPOCHS, STEPS = 30, 64
"""Epochs of batches of 4 of the 256 pictures."""
BODY: dict[str, Any] = {
    "initial_weights": MODEL_ID,
    "dataset": DATASET,
    "epochs": EPOCHS,
    "batch_size": 4,
    "seed": 3,
}


def submit(service: Service, **changes: Any) -> JobRecord:
    request = TrainingJobRequest.model_validate(BODY | changes)
    return service.store.jobs.create(new_job(request, service.store, service.artifacts, service.settings()))


def computed(service: Service, job: JobRecord) -> int:
    """Return of how many pictures the last attempt has computed the features."""
    line = next(line for line in service.log(job.id, job.attempt).splitlines() if "features of" in line)
    assert f"features of {service.images} pictures" in line
    return int(line.rpartition(", ")[2].split()[0])


def checksum(service: Service, job: JobRecord) -> str:
    assert job.status is JobStatus.SUCCEEDED, service.log(job.id, job.attempt)
    return service.store.models.get(job.model_id or "").sha256


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with new_service(tmp_path_factory.mktemp("features")) as service:
        install(service.store, service.artifacts)
        service.run()
        yield service


@pytest.fixture(scope="module")
def undisturbed(shared: Service) -> JobRecord:
    """A job that nothing happens to, the first one on this data set."""
    return shared.wait_end(submit(shared).id)


@pytest.mark.slow
def test_features_are_computed_once(shared: Service, undisturbed: JobRecord) -> None:
    assert undisturbed.request["features_cached"] is True
    assert computed(shared, undisturbed) == shared.images
    again = shared.wait_end(submit(shared).id)
    assert computed(shared, again) == 0
    assert checksum(shared, again) == checksum(shared, undisturbed)
    # another head, batch and rate: still the same features
    other = shared.wait_end(submit(shared, epochs=1, seed=9, batch_size=32).id)
    assert computed(shared, other) == 0
    (name,) = shared.artifacts.names(paths.FEATURES)
    shared.artifacts.write(name, b"damaged")
    mended = shared.wait_end(submit(shared).id)
    assert computed(shared, mended) == shared.images
    assert checksum(shared, mended) == checksum(shared, undisturbed)


@pytest.mark.slow
def test_a_correction_costs_no_features(service: Service) -> None:
    install(service.store, service.artifacts)
    service.run()
    before = service.wait_end(submit(service, epochs=1).id)
    record = service.store.datasets.get(DATASET)
    stored = open_dataset(service.store, service.artifacts, DATASET)
    number = int(stored.positions("train")[5])
    label = (int(stored.labels[0]) + 1) % len(record.classes)
    wishes = [
        Correction(number=number, excluded=True),
        Correction(number=0, label=record.classes[label]["name"]),
    ]
    planned = plan(record, wishes, (), service.store, service.artifacts)
    service.store.datasets.correct(planned.correction, planned.columns, record.images, [])
    after = service.wait_end(submit(service, epochs=1).id)
    assert computed(service, after) == 0  # of all pictures, so that each keeps its place
    assert checksum(service, after) != checksum(service, before)
    assert after.request["dataset_revision"] == 1


HEAD_FIRST = {"train": "all", "epochs": 8, "head_epochs": 4}


@pytest.mark.parametrize(
    ("changes", "step"),
    [
        pytest.param({}, STEPS, id="head", marks=pytest.mark.slow),
        pytest.param(HEAD_FIRST, 2 * STEPS, id="head before all", marks=pytest.mark.slow),
        pytest.param(HEAD_FIRST, 5 * STEPS, id="all after head", marks=pytest.mark.slow),
    ],
)
def test_a_job_that_is_killed_ends_with_the_same_bytes(
    service: Service, shared: Service, changes: dict[str, Any], step: int
) -> None:
    whole = shared.wait_end(submit(shared, **changes).id)
    install(service.store, service.artifacts)
    service.run()
    job_id = submit(service, **changes).id
    until(lambda: (service.job(job_id).checkpoint or {}).get("step", 0) > step, "a checkpoint")
    with suppress(ProcessLookupError):
        os.kill(service.worker(job_id), signal.SIGKILL)
    job = service.wait_end(job_id)
    assert job.attempt == 2
    assert checksum(service, job) == checksum(shared, whole)
    epochs = [row["epoch"] for row in service.store.jobs.metrics(job_id)]
    assert epochs == list(range(1, changes.get("epochs", EPOCHS) + 1))


@pytest.mark.slow
def test_a_job_with_two_stages_shows_them_as_one_run(shared: Service) -> None:
    record = submit(shared, **HEAD_FIRST, batch_size=16)
    assert record.request["features_cached"] is True
    job = shared.wait_end(record.id)
    assert job.status is JobStatus.SUCCEEDED, shared.log(job.id, job.attempt)
    assert (job.progress["epochs"], job.progress["steps"]) == (8, 8 * STEPS // 4)
    assert job.progress["fraction"] == 1
    rows = shared.store.jobs.metrics(job.id)
    rates = [row["learning_rate"] for row in rows]
    # two schedules, each to its end
    assert rates[3] < rates[0] / 10
    assert rates[4] > rates[3] * 10
    assert rates[7] < rates[4] / 10
    # in the second one everything is trained
    shown = training_norms(shared.store.jobs.norms(job.id))
    gradients = {node.name: node.gradient for node in shown.nodes}
    assert list(gradients) == ["conv2d_1", "conv2d_2", "dense_1", "dense_2", "dense_3"]
    assert None not in gradients["dense_3"]
    assert [value is None for value in gradients["conv2d_1"]] == [True] * 4 + [False] * 4
    assert norms_chart(shown).svg()
    request = TrainingJobRequest(continue_from=job.id, epochs=1)
    more = new_job(request, shared.store, shared.artifacts, shared.settings())
    ended = shared.wait_end(shared.store.jobs.create(more).id)
    assert ended.status is JobStatus.SUCCEEDED, shared.log(ended.id, ended.attempt)
    assert [row["epoch"] for row in shared.store.jobs.metrics(ended.id)] == [9]


@pytest.mark.slow
def test_a_job_goes_on_from_the_checkpoint_of_one(shared: Service) -> None:
    before = shared.wait_end(submit(shared, epochs=2).id)
    assert before.status is JobStatus.SUCCEEDED, shared.log(before.id, before.attempt)
    request = TrainingJobRequest(continue_from=before.id, epochs=1)
    record = new_job(request, shared.store, shared.artifacts, shared.settings())
    assert record.request["features_cached"] is True
    job = shared.wait_end(shared.store.jobs.create(record).id)
    assert job.status is JobStatus.SUCCEEDED, shared.log(job.id, job.attempt)
    assert computed(shared, job) == 0
    assert [row["epoch"] for row in shared.store.jobs.metrics(job.id)] == [3]


FLIP = {"augmentations": [{"type": "horizontal_flip"}, {"type": "rotation", "degrees": 20}]}


@pytest.mark.slow
def test_variants_of_augmented_pictures_are_kept(shared: Service) -> None:
    record = submit(shared, **FLIP, epochs=5, variants=3)
    assert (record.request["features_cached"], record.request["variants"]) == (True, 3)
    job = shared.wait_end(record.id)
    assert checksum(shared, job)
    names = shared.artifacts.names(paths.FEATURES)
    # other variants are others, the same are there
    again = shared.wait_end(submit(shared, **FLIP, epochs=5, variants=3).id)
    assert checksum(shared, again) == checksum(shared, job)
    assert shared.artifacts.names(paths.FEATURES) == names
    other = shared.wait_end(submit(shared, **FLIP, epochs=1, variants=2, seed=8).id)
    assert checksum(shared, other)
    assert len(shared.artifacts.names(paths.FEATURES)) == len(names) + 1


def test_variants_are_what_an_epoch_would_see(service: Service) -> None:
    install(service.store, service.artifacts)
    stored = open_dataset(service.store, service.artifacts, DATASET)
    segments = service.store.datasets.find_segments(DATASET)
    files = FeatureFiles(service.artifacts, MODEL_ID, DATASET, segments, stored)
    record = service.store.models.get(MODEL_ID)
    model = read_model(service.artifacts.local_path(record.path))
    network = Network.build(model.architecture)
    split = split_network(freeze(network, all_but(network, head_nodes(network))))
    assert split is not None
    extractor = FeatureExtractor(split.trunk, model.weights, model.preprocessing, 1)
    config = TrainingConfig(seed=6, augmentations=TrainingJobRequest.model_validate(FLIP).augmentations)
    prepared = preparation(config, model.preprocessing)
    told: list[int] = []
    found = files.load_variant(extractor, split.trunk.output_shape, told.append, prepared, 2)
    images, _ = stored.split("train").read(np.arange(len(found)))
    seen = augment(images.astype(np.float32), config.augmentations, seed=6, epoch=2)
    expected = split.trunk.forward(model.weights, model.preprocessing.apply(seen), Context()).output
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    assert told[-1] == len(found) == service.images - 2 * HELD_OUT
    told.clear()
    again = files.load_variant(extractor, split.trunk.output_shape, told.append, prepared, 2)
    assert again.tobytes() == found.tobytes()
    assert told == []


def test_what_is_not_kept(service: Service) -> None:
    install(service.store, service.artifacts)

    def accepted(changes: dict[str, Any], **settings: Any) -> JobRecord:
        request = TrainingJobRequest.model_validate(BODY | changes)
        return new_job(request, service.store, service.artifacts, service.settings(**settings))

    mixed = {"augmentations": [{"type": "mixup"}]}
    for changes, settings in (
        ({}, {"max_feature_bytes": 1000}),
        ({**FLIP, "variants": 0}, {}),
        (mixed, {}),
        # most of the work is behind the first layer
        ({"train": {"from": "conv2d_2"}, "head_epochs": 0}, {}),
        ({"train": None, "architecture": {"preset": "lenet-5"}}, {}),
    ):
        assert accepted(changes, **settings).request["features_cached"] is False
    for train in ({"from": "dense_2"}, "all"):
        assert accepted({"train": train}).request["features_cached"] is True
        assert accepted({"train": train, **mixed}).request["features_cached"] is True
    assert accepted(FLIP).request["variants"] == 4
    assert accepted({}).request["variants"] == 0
    assert accepted({"train": "all", "head_epochs": 0}).request["features_cached"] is False


def test_features_go_with_their_model_or_data_set_and_beyond_the_limit(service: Service) -> None:
    install(service.store, service.artifacts)
    names = [
        feature_file(model, dataset, f"{number}", 0)
        for number, (model, dataset) in enumerate(
            [(MODEL_ID, DATASET), ("model_gone", DATASET), (MODEL_ID, "ds_gone"), (MODEL_ID, "digits")]
        )
    ]
    for age, name in enumerate(names):
        service.artifacts.write(name, b"123456")
        os.utime(service.artifacts.local_path(name), (1_000_000 - age,) * 2)
    Cleanup(service.store, service.artifacts, service.settings()).remove_features()
    assert service.artifacts.names(paths.FEATURES) == sorted([names[0], names[3]])
    shrink_features(service.artifacts, 11, {MODEL_ID, DATASET, "digits"})
    assert service.artifacts.names(paths.FEATURES) == [names[0]]
    delete_features(service.artifacts, "ds")
    assert service.artifacts.names(paths.FEATURES) == [names[0]]
    delete_features(service.artifacts, DATASET)
    assert service.artifacts.names(paths.FEATURES) == []


def test_features_make_room_where_the_data_directory_is_full(service: Service) -> None:
    install(service.store, service.artifacts)
    names = [feature_file(MODEL_ID, DATASET, f"{number}", 0) for number in range(3)]
    for age, name in enumerate(names):
        service.artifacts.write(name, bytes(1 << 20))
        os.utime(service.artifacts.local_path(name), (1_000_000 - age,) * 2)
    full = service.artifacts.bytes()
    for quota, kept in ((full + (1 << 20), 3), (full - (1 << 19), 2), (full - (5 << 19), 0), (1000, 0)):
        settings = service.settings(max_data_bytes=quota)
        cleanup = Cleanup(service.store, service.artifacts, settings)
        cleanup.remove_features()
        assert service.artifacts.names(paths.FEATURES) == names[:kept]
        measure(service.store, service.artifacts, settings)
        if quota > 1000:
            check(service.store, settings)


def test_what_a_killed_worker_left_half_written_goes(service: Service) -> None:
    name = feature_file(MODEL_ID, DATASET, "1", 0)
    service.artifacts.write(name, b"whole")
    folder = service.artifacts.local_path(name).parent
    left, writing = folder / ".tmp-killed", folder / ".tmp-writing"
    left.write_bytes(b"half")
    writing.write_bytes(b"half")
    os.utime(left, (1_000_000, 1_000_000))
    Cleanup(service.store, service.artifacts, service.settings()).remove_features()
    assert not left.exists()
    assert writing.exists()
