"""Models loaded for prediction, the least recently used dropped first."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from app.errors import Damaged
from app.files.artifacts import Artifacts
from app.settings import Settings
from app.store.records import ModelRecord

if TYPE_CHECKING:
    from engine.fast.layout.gemm import Tuning
    from engine.fast.serving.plans import PlanMemory
    from engine.model.inference import Predictor

log = logging.getLogger(__name__)

MAX_BYTES = 512 * 1024 * 1024
"""Size of the model files held in memory; one larger model is held alone."""


def load(
    record: ModelRecord,
    artifacts: Artifacts,
    settings: Settings,
    tuning: Tuning | None = None,
    executor: Executor | None = None,
    memory: PlanMemory | None = None,
) -> Predictor:
    """Return the predictor of a model, for one cause; `Predictors` keeps them.

    Raises:
        ModelFileError: the file is damaged.
        Damaged: the row says otherwise than the file what the outputs are.
    """
    # with the first model, not with the server
    from engine.model.inference import Predictor  # noqa: PLC0415
    from engine.model.model_file import read_model  # noqa: PLC0415

    path = artifacts.local_path(record.path)
    model = read_model(path, record.bytes, settings.max_parameters)
    if len(record.classes) != len(model.classes) or record.target not in model.loss.targets:
        raise Damaged.of("model", record.id, "its classes are not those of its file")
    return Predictor(model, tuning, executor, settings.cores, memory)


class Predictors:
    """A cache of loaded models; safe to use from several threads.

    Models never change, so that there is nothing to invalidate but what is deleted.
    """

    def __init__(self, artifacts: Artifacts, settings: Settings) -> None:
        self._artifacts = artifacts
        self._settings = settings
        self._lock = threading.Lock()
        self._measuring = threading.Lock()
        self._measured: Tuning | None = None
        self._memory: PlanMemory | None = None
        """Of all models; made with the first one."""
        # one less than there are cores: the first part of a batch is done by the thread of the request
        self._executor = (
            ThreadPoolExecutor(settings.cores - 1, thread_name_prefix="predict")
            if settings.cores > 1
            else None
        )
        self._loaded: OrderedDict[str, tuple[int, Future[Predictor]]] = OrderedDict()

    @property
    def executor(self) -> Executor | None:
        """Threads that help with parts of a batch; None where there is one core."""
        return self._executor

    def held(self, identifier: str) -> Predictor | None:
        """Return the predictor of a model if it is in memory; never waits for long."""
        with self._lock:
            entry = self._loaded.get(identifier)
            if entry is None or not entry[1].done() or entry[1].exception() is not None:
                return None
            self._loaded.move_to_end(identifier)
        return entry[1].result()

    def get(self, record: ModelRecord) -> Predictor:
        """Return the predictor of a model; a call for one that is being loaded waits for it.

        Raises:
            ModelFileError: the file is damaged.
        """
        with self._lock:
            entry = self._loaded.get(record.id)
            if entry is None:
                future: Future[Predictor] = Future()
                self._loaded[record.id] = (record.bytes, future)
                dropped = self._shrink()
            else:
                future = entry[1]
                self._loaded.move_to_end(record.id)
        if entry is None:
            for old in dropped:
                old.add_done_callback(_join)
            try:
                made = load(
                    record, self._artifacts, self._settings, self._tuning(), self._executor, self._memory
                )
                future.set_result(made)
            except BaseException as error:
                self.forget(record.id)
                future.set_exception(error)
            else:
                self._split(record.id, made)
        return future.result()

    def close(self) -> None:
        """End the threads and processes."""
        if self._executor is not None:
            self._executor.shutdown()
        with self._lock:
            loaded = self._ready()
        for predictor in loaded:
            predictor.join()

    def forget(self, identifier: str) -> None:
        """Drop a model that is deleted."""
        with self._lock:
            entry = self._loaded.pop(identifier, None)
        if entry is not None:
            entry[1].add_done_callback(_join)

    def _split(self, identifier: str, made: Predictor) -> None:
        """Give a model that was just loaded a second process; those used longest ago lose theirs."""
        limit = self._settings.split_models
        if limit == 0:
            return
        try:
            made.split()
        except (OSError, RuntimeError, MemoryError) as error:  # one process gives the same answers
            log.warning("no second process for %s: %s", identifier, error)
        with self._lock:
            loaded = self._ready()
        split = [predictor for predictor in loaded if predictor.is_split and predictor is not made]
        for predictor in split[: max(0, len(split) + made.is_split - limit)]:
            predictor.join()
        if made not in loaded:  # deleted meanwhile
            made.join()

    def _ready(self) -> list[Predictor]:
        """Return what is loaded, the least recently used first."""
        futures = [future for _, future in self._loaded.values() if future.done()]
        return [future.result() for future in futures if future.exception() is None]

    def _tuning(self) -> Tuning:
        """Measure the machine once, when the first model is loaded."""
        with self._measuring:
            if self._measured is None:
                from engine.fast.layout.gemm import Tuning  # noqa: PLC0415 - see `load`
                from engine.fast.serving.plans import PLAN_BYTES, PlanMemory  # noqa: PLC0415

                self._measured = Tuning.measure()
                self._memory = PlanMemory(PLAN_BYTES)
            return self._measured

    def _shrink(self) -> list[Future[Predictor]]:
        dropped = []
        total = sum(size for size, _ in self._loaded.values())
        while total > MAX_BYTES and len(self._loaded) > 1:
            _, (size, future) = self._loaded.popitem(last=False)
            total -= size
            dropped.append(future)
        return dropped


def _join(loaded: Future[Predictor]) -> None:
    if loaded.exception() is None:
        loaded.result().join()
