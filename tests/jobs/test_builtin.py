"""What a fresh server holds: whole, in accord with itself, and installed once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from app.api.training_reports import TrainingReport
from app.builtin import pretrained
from app.builtin.digits import DIGITS
from app.builtin.install import ARCHITECTURE_ID, JOB_ID, MODEL_ID, install
from app.care.check import check
from app.datasets.readers.splits import SPLIT_NAMES
from app.errors import Conflict
from app.files import paths
from app.files.artifacts import LocalArtifacts
from app.jobs.requests import TrainingRequest
from app.states import JobStatus
from app.store import Store
from engine.graph.architecture import Architecture
from engine.model.inference import Predictor
from engine.model.model_file import read_model
from tests.care.installation import at
from tests.digits import load_digits


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, LocalArtifacts]]:
    root = tmp_path_factory.mktemp("data")
    store, artifacts = Store(root), LocalArtifacts(root)
    store.migrate()
    install(store, artifacts)
    yield store, artifacts
    store.close()


def test_the_job_is_one_that_could_have_run_here(installed: tuple[Store, LocalArtifacts]) -> None:
    store, artifacts = installed
    job = store.jobs.get(JOB_ID)
    assert (job.status, job.model_id, job.error, job.builtin) == (JobStatus.SUCCEEDED, MODEL_ID, None, True)
    request = TrainingRequest.model_validate(job.request)
    assert request.dataset == DIGITS == job.dataset_id
    assert request.dataset_images == store.datasets.get(DIGITS).images
    stored = store.architectures.get(ARCHITECTURE_ID).architecture
    assert request.architecture == Architecture.model_validate(stored)
    figures = store.jobs.metrics(JOB_ID)
    assert [row["epoch"] for row in figures] == list(range(1, request.epochs + 1))
    assert job.metrics == figures[-1]
    assert job.checkpoint is None
    assert "model_example" in artifacts.local_path(paths.log(JOB_ID, 1)).read_text()


def test_the_report_is_that_of_the_model(installed: tuple[Store, LocalArtifacts]) -> None:
    store, artifacts = installed
    report = TrainingReport.model_validate_json(artifacts.local_path(paths.report(JOB_ID)).read_bytes())
    digits, model = store.datasets.get(DIGITS), store.models.get(MODEL_ID)
    assert report.accuracy == model.metrics["test_accuracy"]
    assert report.held_out_images == digits.splits["dev"] + digits.splits["test"]
    assert report.held_out_accuracy == (model.metrics["dev_accuracy"] + report.accuracy) / 2
    assert [entry.name for entry in report.classes] == model.classes
    # a directory of an earlier version gets it at the next start
    artifacts.delete(paths.report(JOB_ID))
    install(store, artifacts)
    assert artifacts.exists(paths.report(JOB_ID))


def test_the_model_is_as_good_as_it_says(installed: tuple[Store, LocalArtifacts]) -> None:
    store, artifacts = installed
    record = store.models.get(MODEL_ID)
    assert artifacts.checksum(record.path) == record.sha256
    model = read_model(artifacts.local_path(record.path))
    assert list(model.classes) == record.classes
    assert model.architecture == Architecture.model_validate(record.architecture)
    assert model.metadata["picture"] == record.preprocessing["picture"]
    digits = load_digits()
    chosen = digits.splits == SPLIT_NAMES.index("test")
    found = Predictor(model).predict(digits.images[chosen]).argmax(axis=1)
    accuracy = float(np.mean(found == digits.labels[chosen]))
    assert accuracy == pytest.approx(record.metrics["test_accuracy"], abs=0.002)
    assert accuracy > 0.97


def test_installing_again_changes_nothing(installed: tuple[Store, LocalArtifacts]) -> None:
    store, artifacts = installed
    before = [
        store.architectures.page(10),
        store.datasets.page(10),
        store.jobs.page(10),
        store.models.page(10),
        store.jobs.metrics(JOB_ID),
    ]
    install(store, artifacts)
    assert before == [
        store.architectures.page(10),
        store.datasets.page(10),
        store.jobs.page(10),
        store.models.page(10),
        store.jobs.metrics(JOB_ID),
    ]


def test_a_half_done_installation_is_completed(tmp_path: Path) -> None:
    store, artifacts = Store(tmp_path), LocalArtifacts(tmp_path)
    store.migrate()

    class Killed(Exception):
        pass

    class KilledArtifacts(LocalArtifacts):
        def write(self, name, content):  # type: ignore[no-untyped-def]
            if name.startswith("models/"):
                raise Killed
            return super().write(name, content)

    with pytest.raises(Killed):
        install(store, KilledArtifacts(tmp_path))
    install(store, artifacts)
    assert store.models.get(MODEL_ID).builtin
    assert store.jobs.get(JOB_ID).builtin
    store.close()


def test_a_file_that_is_put_back_is_that_of_its_row(tmp_path: Path) -> None:
    """A copy of a data directory of an earlier version may leave out what comes with the package."""
    store, artifacts = Store(tmp_path), LocalArtifacts(tmp_path)
    store.migrate()
    for put in (install, pretrained.install):
        put(store, artifacts)
    for name in (MODEL_ID, pretrained.PRETRAINED):
        store.models.change(name, {"sha256": "0" * 64, "bytes": 1})
        artifacts.delete(paths.model(name))
    for put in (install, pretrained.install):
        put(store, artifacts)
    for name in (MODEL_ID, pretrained.PRETRAINED):
        model = store.models.get(name)
        file = artifacts.local_path(model.path)
        assert (model.bytes, model.sha256) == (file.stat().st_size, artifacts.checksum(model.path))
    store.close()


@pytest.mark.parametrize(
    ("put", "name"),
    [(install, MODEL_ID), (pretrained.install, pretrained.PRETRAINED)],
    ids=["example", "pretrained"],
)
def test_a_row_agrees_with_its_file_also_when_whoever_put_that_back_died_before_it(
    tmp_path: Path, put: Callable[[Store, LocalArtifacts], None], name: str
) -> None:
    store, artifacts = Store(tmp_path), LocalArtifacts(tmp_path)
    store.migrate()
    put(store, artifacts)
    store.models.change(name, {"sha256": "0" * 64, "bytes": 1})
    put(store, artifacts)
    model = store.models.get(name)
    assert (model.bytes, model.sha256) == (
        artifacts.local_path(model.path).stat().st_size,
        artifacts.checksum(model.path),
    )
    store.close()


def test_a_row_that_an_earlier_version_left_as_it_was_is_mended(tmp_path: Path) -> None:
    """It put back the file that comes with the package, and `convserve check` called that damaged."""
    store, artifacts = Store(tmp_path), LocalArtifacts(tmp_path)
    store.migrate()
    install(store, artifacts)
    store.models.change(MODEL_ID, {"sha256": "0" * 64, "bytes": 1})
    found = [finding.name for finding in check(at(tmp_path)).findings]
    assert found == [paths.model(MODEL_ID)]
    install(store, artifacts)
    assert check(at(tmp_path)).findings == []
    # and a file that is none of the package's keeps its row
    artifacts.write(paths.model(MODEL_ID), b"another")
    install(store, artifacts)
    assert [finding.name for finding in check(at(tmp_path)).findings] == found
    store.close()


def test_none_of_it_can_be_deleted(installed: tuple[Store, LocalArtifacts]) -> None:
    store, _ = installed
    for repository, identifier in (
        (store.architectures, ARCHITECTURE_ID),
        (store.datasets, DIGITS),
        (store.jobs, JOB_ID),
        (store.models, MODEL_ID),
    ):
        with pytest.raises(Conflict, match="built in"):
            repository.delete(identifier)
