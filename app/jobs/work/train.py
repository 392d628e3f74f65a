"""Training as a job: the engine's loop, with its state in files and its figures in the store."""

from __future__ import annotations

import logging
import os
import time
from functools import partial
from pathlib import Path

from app.datasets.records import class_names, options
from app.datasets.storage import StoredDataset, open_dataset
from app.files import paths
from app.files.artifacts import LocalArtifacts
from app.ids import MODEL, sibling
from app.jobs.heartbeat import Heartbeat, Interrupted
from app.jobs.processes import CORES_VARIABLE
from app.jobs.requests import TrainingRequest
from app.jobs.work.features import Course, FeatureFiles, on_features, progress_of
from app.jobs.work.outlook import report
from app.jobs.work.pace import Pace, finite
from app.settings import Settings
from app.store import Store
from app.store.records import DatasetRecord, JobRecord, Json, ModelRecord
from engine.environment import pins as library_pins
from engine.errors import ModelFileError
from engine.fast.layout.gemm import Tuning
from engine.fast.parallel.share import pins
from engine.fast.parallel.shares import SharedExecution, execution
from engine.graph.network import Network
from engine.inputs.preparation import Preparation
from engine.model.model_file import Model, model_bytes, read_model
from engine.recipe.losses import Loss
from engine.training.checkpoint import checkpoint_bytes, read_checkpoint, read_stage
from engine.training.head import head_nodes
from engine.training.loop import (
    Progress,
    TrainingData,
    evaluate,
    evaluated_at_once,
    kept_weights,
    next_stage,
    preparation,
    start,
    train,
)
from engine.training.state import Tally, TrainingState

log = logging.getLogger(__name__)


def run(job: JobRecord, store: Store, artifacts: LocalArtifacts, settings: Settings, beat: Heartbeat) -> None:
    """Train from the last checkpoint, or from the start, to the model.

    Raises:
        Interrupted: it should stop; a checkpoint is written.
        EngineError: the network cannot be built or does not fit, or the loss is not finite any more.
    """
    request = TrainingRequest.of(job)
    network = Network.build(request.architecture, settings.max_parameters)
    dataset = store.datasets.get(request.dataset)
    stored = open_dataset(store, artifacts, dataset.id, request.dataset_images, request.dataset_revision)
    data = _data(dataset, stored)
    checkpoints = _Checkpoints(job, store, artifacts, settings.checkpoint_seconds)
    checkpoints.remove_strays()
    state = checkpoints.read(network, request) or _begin(job, request, network, data, artifacts)
    shares = _shares(settings)
    tuning = _tuning(state)
    checkpoints.pin(state, shares, tuning)

    log.info(
        "%d parameters; %d training pictures; from step %d", network.parameters, len(data.train), state.step
    )
    pace = Pace(exact_resume=checkpoints.exact, epochs=request.epochs)
    stages = request.stages
    execute = _Executions(request.batch_size, tuning, shares, artifacts.local_path(paths.directory(job.id)))

    def course_of(state: TrainingState) -> Course:
        """Return the run of the stage that a state is in."""
        config = stages[state.stage.number]
        course = Course(network, config, data, state, execute, variants=request.variants)
        if not request.trains_on_features(state.stage.number):
            return course
        segments = store.datasets.find_segments(dataset.id)
        files = FeatureFiles(artifacts, request.trunk_model, dataset.id, segments, stored)
        return on_features(course, files, shares, progress_of(beat, pace.last or job.progress))

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
        if data.target == "class":
            told = partial(beat, pace.last | {"stage": "report"})
            found = report(course, stored, data.classes, told)
            artifacts.write(paths.report(job.id), found.model_dump_json().encode())
    except Interrupted:
        checkpoints.write(course.whole(course.state))
        raise
    finally:
        execute.close()
    model = _write_model(job, request, dataset, stored.fingerprint, data, state, metrics, artifacts)
    beat(pace.last | {"stage": "finished", "fraction": 1.0, "eta_seconds": 0.0}, force=True)
    store.jobs.succeed(job.id, job.attempt, model=model)


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


class _Executions:
    """Makes what runs the batches of a network, once for training and test."""

    def __init__(self, batch_size: int, tuning: Tuning, shares: int, folder: Path) -> None:
        self._batch_size, self._tuning, self._shares, self._folder = batch_size, tuning, shares, folder
        self._made: SharedExecution | None = None

    def __call__(self, trained: Network, loss: Loss, preparation: Preparation) -> SharedExecution:
        """Return it; a network of another stage gets one when that of the stage before is closed."""
        if self._made is None:
            most = max(self._batch_size, evaluated_at_once(trained.input_shape))
            self._made = execution(trained, loss, preparation, self._tuning, self._shares, most, self._folder)
        return self._made

    def close(self) -> None:
        """End its processes."""
        if self._made is not None:
            self._made.close()
        self._made = None


def _begin(
    job: JobRecord, request: TrainingRequest, network: Network, data: TrainingData, artifacts: LocalArtifacts
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


def _data(dataset: DatasetRecord, stored: StoredDataset) -> TrainingData:
    """Return a data set as the engine wants it."""
    return TrainingData(
        train=stored.split("train"),
        dev=stored.split("dev"),
        test=stored.split("test"),
        classes=tuple(class_names(dataset)),
        image_shape=stored.image_shape,
        target=options(dataset).target,
    )


def _norms(progress: Progress) -> Json | None:
    """Return the norms of an epoch, by the names of nodes; None if none of its steps was measured."""
    return {node: finite(norms.model_dump()) for node, norms in (progress.norms or {}).items()} or None


class _Checkpoints:
    """The checkpoints of one job, of which the last one stays."""

    def __init__(self, job: JobRecord, store: Store, artifacts: LocalArtifacts, seconds: float) -> None:
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
            if name != self._name and name.startswith(f"{directory}/{paths.CHECKPOINT}"):
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

    def pin(self, state: TrainingState, threads: int, tuning: Tuning) -> None:
        """Note what the run computes with; where that has changed, the bytes of the result will."""
        current = library_pins(1) | pins(threads, tuning)
        # a run that begins has none yet
        before = state.pins or current
        changed = [name for name in current | before if current.get(name) != before.get(name)]
        if changed:
            self.exact = False
            log.warning("not the same as before: %s; the result may differ in its last digits", changed)
        state.pins = current
        self._threads = threads

    def due(self) -> bool:
        """Tell whether the last one is old enough for another."""
        return time.monotonic() - self._written >= self._seconds

    def write(self, state: TrainingState) -> None:
        """Write a checkpoint, point the job at it, then let go of the one before."""
        name = paths.checkpoint(self._job.id, self._job.attempt, state.step)
        written = self._artifacts.write(name, checkpoint_bytes(state))
        document = {
            "name": name,
            "sha256": written.sha256,
            "bytes": written.bytes,
            "epoch": state.epoch,
            "step": state.step,
            "threads": self._threads,
            "exact_resume": self.exact,
        }
        before = self._store.jobs.record_checkpoint(self._job.id, self._job.attempt, document)
        if before is not None and before["name"] != name:
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
    artifacts: LocalArtifacts,
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
    written = artifacts.write(paths.model(identifier), model_bytes(model))
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


def _shares(settings: Settings) -> int:
    """Return into how many shares a batch is split: one for each core that is ours."""
    return int(os.environ.get(CORES_VARIABLE) or settings.worker_threads)


def _tuning(state: TrainingState) -> Tuning:
    """Return what was measured of the machine when the run began; measured now if it begins."""
    pinned = state.pins.get("tuning")
    return Tuning.measure() if pinned is None else Tuning.model_validate_json(pinned)
