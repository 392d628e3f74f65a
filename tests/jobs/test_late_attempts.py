"""An attempt that is over and has not noticed yet changes no file of the attempt that has finished the job."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from app.api.pictures import PictureSpec
from app.datasets.ingestion import Source
from app.datasets.options import DatasetOptions
from app.errors import StaleAttempt
from app.files import paths
from app.ids import DATASET, JOB, new_id, sibling
from app.jobs.findings import found_file
from app.jobs.heartbeat import Heartbeat
from app.jobs.kinds import ADDITION, BATCH_PREDICTION, EVALUATION, INGESTION, KINDS, TRAINING, Kind
from app.jobs.leftovers import ALONE, SAFE, remove_leftovers
from app.jobs.requests import (
    AddedFile,
    AdditionRequest,
    BatchPredictionRequest,
    EvaluationRequest,
    IngestionRequest,
    JobRequest,
)
from app.jobs.runner import Runner
from app.states import JobStatus
from app.store.records import DatasetRecord, JobRecord
from tests.http.several import pictures
from tests.jobs.service import DATASET as DIGITS
from tests.jobs.service import Service, until

UPLOAD = f"{paths.UPLOADS}/0123abcd"


class Deaf(Heartbeat):
    """A heartbeat that hears nothing: that of a worker which was frozen between two beats."""

    def __init__(self, faulty: bool = False) -> None:
        self._beats = 0
        self._faulty = faulty

    def __call__(self, progress: Mapping[str, Any], *, force: bool = False) -> None:
        self._beats += 1
        if self._faulty and self._beats > 3:
            raise OSError(errno.ENOSPC, "the disk of that machine is full")

    def kept_up(self, progress: Mapping[str, Any]) -> Any:
        return self.unchanged()

    @property
    def _shown(self) -> None:
        return None


def queue(service: Service, kind: Kind, request: JobRequest, **columns: Any) -> str:
    job = JobRecord(new_id(JOB), kind.name, request.document(), **columns)
    return service.store.jobs.create(job).id


def ingestion(service: Service) -> str:
    """Queue what makes a data set of an upload."""
    service.artifacts.write(UPLOAD, pictures())
    job_id = new_id(JOB)
    options = DatasetOptions(picture=PictureSpec(image_shape=(9, 9, 1)))
    record = DatasetRecord(sibling(job_id, DATASET), "letters", options=options.model_dump(mode="json"))
    request = IngestionRequest(
        dataset_id=record.id,
        upload=UPLOAD,
        source=Source(filename="a.zip", bytes=1, sha256=""),
        options=options,
    )
    job = JobRecord(job_id, INGESTION.name, request.document(), dataset_id=record.id)
    service.store.datasets.create(record, job)
    return job_id


def addition(service: Service) -> str:
    """Queue what adds pictures to a data set."""
    made = ingestion(service)
    work(service, claim(service, INGESTION))
    service.artifacts.write(UPLOAD, pictures())
    dataset = sibling(made, DATASET)
    request = AdditionRequest(dataset_id=dataset, files=(AddedFile(filename="b.zip", upload=UPLOAD),))
    return queue(service, ADDITION, request, dataset_id=dataset)


def training(service: Service) -> str:
    """Queue a short training job."""
    return service.train(epochs=1)


def model(service: Service) -> str:
    """Return a trained model."""
    training(service)
    done = work(service, claim(service, TRAINING))
    return str(service.job(done.id).model_id)


def evaluation(service: Service) -> str:
    """Queue what judges a model."""
    request = EvaluationRequest(model=model(service), dataset=DIGITS, dataset_images=service.images)
    return queue(service, EVALUATION, request, dataset_id=DIGITS)


def batch_prediction(service: Service) -> str:
    """Queue what looks at an archive."""
    made = model(service)
    service.artifacts.write(UPLOAD, pictures(side=28))
    request = BatchPredictionRequest(model=made, top_k=1, upload=UPLOAD, filename="a.zip", images=12)
    return queue(service, BATCH_PREDICTION, request, model_id=made)


def claim(service: Service, kind: Kind) -> JobRecord:
    job = service.store.jobs.claim_next([kind.name])
    assert job is not None
    return job


def work(service: Service, job: JobRecord, beat: Heartbeat | None = None) -> JobRecord:
    """Do an attempt, as a worker does that has found it to be the present one."""
    settings = service.settings()
    beat = beat or Heartbeat(service.store, job.id, job.attempt)
    KINDS[job.kind].load_work()(job, service.store, service.artifacts, settings, beat)
    return job


def files(service: Service) -> dict[str, tuple[int, int]]:
    """Return the files that rows name, and what changes about them when somebody writes."""
    names = [*service.store.files.recorded(), *(each.path for each in service.store.files.models())]
    found = {name: service.artifacts.local_path(name).stat() for name in names}
    return {name: (about.st_ino, about.st_mtime_ns) for name, about in found.items()}


@pytest.mark.parametrize("faulty", [False, True], ids=["to its end", "until it fails"])
@pytest.mark.parametrize("kind", [ingestion, addition, training, evaluation, batch_prediction])
def test_what_is_finished_stays_as_it_is(
    service: Service, kind: Callable[[Service], str], faulty: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = kind(service)
    of_kind = KINDS[service.job(job_id).kind]
    first = claim(service, of_kind)
    service.store.jobs.lost(job_id, 1)
    work(service, claim(service, of_kind))
    assert (service.job(job_id).status, service.job(job_id).attempt) == (JobStatus.SUCCEEDED, 2)
    before = files(service)
    if of_kind in (INGESTION, ADDITION, BATCH_PREDICTION):
        service.artifacts.write(UPLOAD, pictures(side=28))  # the first had read it by then
    with monkeypatch.context() as frozen:
        # it had written these before it was frozen
        for written in ("record_epoch", "record_checkpoint"):
            frozen.setattr(service.store.jobs, written, lambda *_: None)
        with pytest.raises((StaleAttempt, OSError)):
            work(service, first, Deaf(faulty))
    assert files(service) == before
    # what it has left is found, once nobody can be about to name it
    remove_leftovers(service.store, service.artifacts, SAFE)
    remove_leftovers(service.store, service.artifacts, ALONE)
    assert files(service) == before
    folder = service.artifacts.root / paths.DATASETS
    segments = {each.path for each in service.store.files.segments()}
    assert {str(path.relative_to(service.data_dir)) for path in folder.glob("*/segment-*")} == segments
    assert set(service.artifacts.names(paths.MODELS)) == {each.path for each in service.store.files.models()}


class Overtaken(Heartbeat):
    """A heartbeat during whose last long call something happens."""

    def __init__(self, service: Service, job: JobRecord, happens: Callable[[], object]) -> None:
        super().__init__(service.store, job.id, job.attempt)
        self._happens = happens

    @contextmanager
    def kept_up(self, progress: Mapping[str, Any]) -> Iterator[None]:
        self._happens()
        yield


def test_rows_of_an_attempt_that_is_over_are_in_no_table(service: Service) -> None:
    job_id = batch_prediction(service)
    first = claim(service, BATCH_PREDICTION)
    service.store.jobs.lost(job_id, 1)

    def go_on() -> None:
        """Let the first save what it sees in another archive, while the second is about to join what it has saved."""
        service.artifacts.write(UPLOAD, pictures(side=5))
        with pytest.raises(StaleAttempt):
            work(service, first, Deaf())

    second = claim(service, BATCH_PREDICTION)
    work(service, second, Overtaken(service, second, go_on))
    again = queue(service, BATCH_PREDICTION, BatchPredictionRequest.of(second), model_id=second.model_id)
    service.artifacts.write(UPLOAD, pictures(side=28))
    work(service, claim(service, BATCH_PREDICTION))
    tables = [
        found_file(paths.predictions, service.job(each), service.artifacts).read_bytes()
        for each in (job_id, again)
    ]
    assert tables[0] == tables[1]
    assert tables[0].count(b"\n") == 13


class Elsewhere:
    """A launcher that sees nothing of the attempts of other machines, and starts none."""

    elsewhere = False

    def find(self, job_id: str, attempt: int) -> None:
        return None

    def has_ended(self, job_id: str, attempt: int) -> bool:
        return False

    def paused(self, job_id: str, attempt: int) -> None:
        return None

    refused = paused

    def tidy(self, job_id: str, attempt: int) -> bool:
        return True


def test_the_number_of_one_that_may_go_on_elsewhere_is_not_used_again(service: Service) -> None:
    job_id = training(service)
    claim(service, TRAINING)
    runner = Runner(
        service.store,
        service.artifacts,
        service.settings(min_free_bytes=2**62),  # no job begins
        Elsewhere(),  # type: ignore[arg-type] - none is started
        after_fault=True,
    )
    service.runners.append(runner)
    runner.start()
    until(lambda: service.job(job_id).status is JobStatus.QUEUED, "what becomes of it")
    assert service.job(job_id).attempt == 1
    assert claim(service, TRAINING).attempt == 2
