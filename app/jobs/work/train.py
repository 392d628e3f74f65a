"""Training as a job: the engine's loop, with its state in files and its figures in the store."""

from __future__ import annotations

import logging
import os
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from app.datasets.storage import open_dataset
from app.datasets.training_data import training_data
from app.files import paths
from app.files.artifacts import Artifacts
from app.ids import MODEL, sibling
from app.jobs.heartbeat import Heartbeat, Interrupted
from app.jobs.nodes.gathering import gathered
from app.jobs.processes import CORES_VARIABLE
from app.jobs.requests import TrainingRequest
from app.jobs.work.executions import Executions, measured
from app.jobs.work.features import Course, FeatureFiles, on_features, progress_of
from app.jobs.work.outlook import report
from app.jobs.work.pace import Pace, finite
from app.settings import Settings
from app.store import Store
from app.store.records import DatasetRecord, JobRecord, Json, ModelRecord
from engine.environment import pins as library_pins
from engine.errors import ModelFileError
from engine.graph.network import Network
from engine.model.model_file import Model, model_bytes, read_model
from engine.training.checkpoint import checkpoint_bytes, read_checkpoint, read_stage
from engine.training.head import head_nodes
from engine.training.loop import (
    Progress,
    TrainingData,
    evaluate,
    kept_weights,
    next_stage,
    preparation,
    start,
    train,
)
from engine.training.state import Tally, TrainingState

log = logging.getLogger(__name__)


def run(job: JobRecord, store: Store, artifacts: Artifacts, settings: Settings, beat: Heartbeat) -> None:
    """Train from the last checkpoint, or from the start, to the model.

    Raises:
        Interrupted: it should stop; a checkpoint is written.
        EngineError: the network cannot be built or does not fit, or the loss is not finite any more.
    """
    with ExitStack() as stack:
        _run(job, store, artifacts, settings, beat, stack)


def _run(
    job: JobRecord,
    store: Store,
    artifacts: Artifacts,
    settings: Settings,
    beat: Heartbeat,
    stack: ExitStack,
) -> None:
    request = TrainingRequest.of(job)
    network = Network.build(request.architecture, settings.max_parameters)
    dataset = store.datasets.get(request.dataset)
    stored = open_dataset(store, artifacts, dataset.id, request.dataset_images, request.dataset_revision)
    data = training_data(dataset, stored)
    checkpoints = _Checkpoints(job, store, artifacts, settings.checkpoint_seconds)
    checkpoints.remove_strays()
    state = checkpoints.read(network, request) or _begin(job, request, network, data, artifacts)
    cores = _cores(request, settings)
    # what is wrong with the job is said in words by now, before others come to the same
    nodes = stack.enter_context(gathered(job, request.nodes, cores, settings, beat))
    folder = artifacts.here(paths.directory(job.id))
    execute = Executions(request.batch_size, measured(state, artifacts.root), cores, nodes, folder)
    checkpoints.pin(state, execute)

    log.info(
        "%d parameters; %d training pictures; from step %d", network.parameters, len(data.train), state.step
    )
    pace = Pace(exact_resume=checkpoints.exact, epochs=request.epochs)
    stages = request.stages

    def course_of(state: TrainingState) -> Course:
        """Return the run of the stage that a state is in."""
        config = stages[state.stage.number]
        course = Course(network, config, data, state, execute, variants=request.variants)
        if not request.trains_on_features(state.stage.number):
            return course
        segments = store.datasets.find_segments(dataset.id)
        files = FeatureFiles(artifacts, request.trunk_model, dataset.id, segments, stored)
        return on_features(course, files, cores, progress_of(beat, pace.last or job.progress))

    course = course_of(state)
    try:
        while True:
            _train_stage(course, job, store, checkpoints, beat, pace)
            state = course.whole(course.state)
            following = state.stage.number + 1
            if following == len(stages):
                break
            execute.close()
            course = course_of(next_stage(network, stages[following - 1], stages[following], state))
        metrics = _test(course, beat, pace)
        written = []
        if data.target == "class":
            told = partial(beat, pace.last | {"stage": "report"})
            found = report(course, stored, data.classes, told)
            name = paths.report(job.id, job.attempt)
            written = [artifacts.write(name, found.model_dump_json().encode())]
    except Interrupted:
        checkpoints.write(course.whole(course.state))
        raise
    finally:
        execute.close()
    model = _write_model(job, request, dataset, stored.fingerprint, data, state, metrics, artifacts)
    beat(pace.last | {"stage": "finished", "fraction": 1.0, "eta_seconds": 0.0}, force=True)
    store.jobs.succeed(job.id, job.attempt, model=model, found=written)


def _train_stage(
    course: Course, job: JobRecord, store: Store, checkpoints: _Checkpoints, beat: Heartbeat, pace: Pace
) -> None:
    """Train to the end of a stage, with a checkpoint there."""
    for progress in train(course.network, course.config, course.data, course.state, course.execute):
        if progress.metrics is not None:
            figures = finite(progress.metrics.model_dump())
            log.info("epoch %s", " ".join(f"{name}={value}" for name, value in figures.items()))
            store.jobs.record_epoch(job.id, job.attempt, figures | {"norms": _norms(progress)})
        if checkpoints.due() or (progress.metrics is not None and not course.quick):
            checkpoints.write(course.whole(course.state))
        beat(pace.document(progress), force=progress.metrics is not None)
    if course.quick:
        checkpoints.write(course.whole(course.state))


def _begin(
    job: JobRecord, request: TrainingRequest, network: Network, data: TrainingData, artifacts: Artifacts
) -> TrainingState:
    """Return the first state: new, that of another job, or new with the weights of a model."""
    path = artifacts.local_path(paths.initial(job.id))
    if request.continue_from is not None:
        return _read_checkpoint(path, network, request)
    initial = None if request.initial_weights is None else read_model(path)
    anew = head_nodes(network) if request.train is not None else ()
    return start(network, request.stages[0], data, initial, anew)


def _read_checkpoint(path: Path, network: Network, request: TrainingRequest) -> TrainingState:
    """Read the state of a run of what a job asks for, at whichever stage.

    Raises:
        ModelFileError: damaged, or of another network or optimizer.
    """
    stages = request.stages
    return read_checkpoint(path, network, stages[min(read_stage(path), len(stages) - 1)])


def _norms(progress: Progress) -> Json | None:
    """Return the norms of an epoch, by the names of nodes; None if none of its steps was measured."""
    return {node: finite(norms.model_dump()) for node, norms in (progress.norms or {}).items()} or None


class _Checkpoints:
    """The checkpoints of one job, of which the last one stays."""

    def __init__(self, job: JobRecord, store: Store, artifacts: Artifacts, seconds: float) -> None:
        self.exact = (job.checkpoint or job.progress).get("exact_resume", True)
        """Whether the result will be that of an undisturbed run, byte for byte."""
        self._job = job
        self._store = store
        self._artifacts = artifacts
        self._seconds = seconds
        self._written = time.monotonic()
        self._threads = 0
        self._name: str | None = (job.checkpoint or {}).get("name")

    def remove_strays(self) -> None:
        """Remove what attempts before this one wrote and did not live to announce."""
        directory = paths.directory(self._job.id)
        self._artifacts.clean(directory, age=0)
        for name in self._artifacts.names(directory):
            attempt = paths.attempt_of_checkpoint(name)
            # those of a later one are none of ours, should we be over by now
            if name != self._name and attempt is not None and attempt <= self._job.attempt:
                self._artifacts.delete(name)

    def read(self, network: Network, request: TrainingRequest) -> TrainingState | None:
        """Return the state to go on from, or None at the start; one that is damaged is a new start."""
        if self._job.checkpoint is None or self._name is None:
            return None
        try:
            if self._artifacts.checksum(self._name) != self._job.checkpoint["sha256"]:
                raise ModelFileError("its checksum is not the one that was recorded")
            return _read_checkpoint(self._artifacts.local_path(self._name), network, request)
        except (ModelFileError, FileNotFoundError) as error:
            log.warning("cannot go on from %s, starting again: %s", self._name, error)
            return None

    def pin(self, state: TrainingState, execute: Executions) -> None:
        """Note what the run computes with; where that has changed, the bytes of the result will."""
        current = library_pins(1) | dict(execute.pins)
        # a run that begins has none yet
        before = state.pins or current
        changed = [name for name in current | before if current.get(name) != before.get(name)]
        if changed:
            self.exact = False
            log.warning("not the same as before: %s; the result may differ in its last digits", changed)
        state.pins = current
        self._threads = execute.shares

    def due(self) -> bool:
        """Tell whether the last one is old enough for another."""
        return time.monotonic() - self._written >= self._seconds

    def write(self, state: TrainingState) -> None:
        """Write a checkpoint, point the job at it, then let go of the one before."""
        name = paths.checkpoint(self._job.id, self._job.attempt, state.step)
        if name == self._name:
            # The last step of an epoch and its end have one each: what the row names is never written over.
            name = paths.checkpoint(self._job.id, self._job.attempt, state.step, again=True)
        begun = time.monotonic()
        written = self._artifacts.write(name, checkpoint_bytes(state))
        document = {
            "name": name,
            "sha256": written.sha256,
            "bytes": written.bytes,
            "epoch": state.epoch,
            "step": state.step,
            "threads": self._threads,
            "exact_resume": self.exact,
            "seconds": round(time.monotonic() - begun, 3),
        }
        before = self._store.jobs.record_checkpoint(self._job.id, self._job.attempt, document)
        self._name = name
        if before is not None:
            self._artifacts.delete(before["name"])
        self._written = time.monotonic()
        log.debug("checkpoint at step %d", state.step)


def _test(course: Course, beat: Heartbeat, pace: Pace) -> Json:
    """Judge the weights that are kept by the pictures that had no say in them."""
    config, state = course.config, course.state
    weights, epoch = kept_weights(config, state)
    tally = Tally()
    prepared = preparation(config, state.preprocessing)
    execution = course.execute(course.network.without_final(config.loss.link), config.loss, prepared)
    for _ in evaluate(execution, weights, config.loss, course.data.test, tally):
        beat(pace.last | {"stage": "test"})
    kept = state.history[epoch - 1]
    measured = tally.images > 0
    return finite(
        {
            "kept_epoch": epoch,
            "train_loss": kept.train_loss,
            "train_accuracy": kept.train_accuracy,
            "dev_loss": kept.dev_loss,
            "dev_accuracy": kept.dev_accuracy,
            "test_loss": tally.mean_loss if measured else None,
            "test_accuracy": tally.accuracy if measured else None,
        }
    )


def _write_model(
    job: JobRecord,
    request: TrainingRequest,
    dataset: DatasetRecord,
    fingerprint: str | None,
    data: TrainingData,
    state: TrainingState,
    metrics: Json,
    artifacts: Artifacts,
) -> ModelRecord:
    """Write the model file and return its record. Equal runs write equal files: no times, no ids of ours."""
    weights, _ = kept_weights(request.config, state)
    begun = {"initial_weights": {"model": request.initial_model, "train": request.train}}
    origin = {} if request.origin is None else {"origin": request.origin}
    model = Model(
        architecture=request.architecture,
        classes=data.classes,
        preprocessing=state.preprocessing,
        loss=request.loss,
        weights=weights,
        metadata={
            "name": request.name,
            "dataset": {
                "name": dataset.name,
                "fingerprint": fingerprint,
                "images": request.dataset_images,
                **({"revision": request.dataset_revision} if request.dataset_revision else {}),
            },
            # How a picture becomes an array, see app.pictures.decode.PictureSpec: predictions do the same.
            "picture": dataset.options["picture"],
            **({} if request.initial_model is None else begun | origin),
            "training": request.config.model_dump(mode="json", serialize_as_any=True),
            "metrics": metrics,
            "environment": state.pins,
        },
        target=data.target,
    )
    identifier = sibling(job.id, MODEL)
    written = artifacts.write(paths.model(identifier, job.attempt), model_bytes(model))
    log.info("model %s: %s", identifier, " ".join(f"{name}={value}" for name, value in metrics.items()))
    return ModelRecord(
        id=identifier,
        name=request.name,
        path=written.name,
        sha256=written.sha256,
        bytes=written.bytes,
        classes=list(data.classes),
        input_shape=list(data.image_shape),
        preprocessing={
            "picture": dataset.options["picture"],
            **state.preprocessing.model_dump(mode="json"),
        },
        architecture=request.architecture.document(),
        training_job_id=job.id,
        metrics=metrics,
        description=request.description,
        tags=list(request.tags) or None,
        target=data.target,
    )


def _cores(request: TrainingRequest, settings: Settings) -> int:
    """Return how many cores each node has: as many shares it splits its part of a batch into."""
    return int(os.environ.get(CORES_VARIABLE) or settings.threads_of(request.nodes))
