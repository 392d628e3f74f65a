"""Models loaded for prediction, the least recently used dropped first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import Executor, Future, ThreadPoolExecutor

from app.artifacts import Artifacts
from app.settings import Settings
from app.store.records import ModelRecord
from engine.fast.gemm import Tuning
from engine.inference import Predictor
from engine.model_file import read_model

MAX_BYTES = 512 * 1024 * 1024
"""Size of the model files held in memory; one larger model is held alone."""


def load(
    record: ModelRecord,
    artifacts: Artifacts,
    settings: Settings,
    tuning: Tuning | None = None,
    executor: Executor | None = None,
) -> Predictor:
    """Return the predictor of a model, for one cause; `Predictors` keeps them.

    Raises:
        ModelFileError: the file is damaged.
    """
    path = artifacts.local_path(record.path)
    model = read_model(path, record.bytes, settings.max_parameters)
    return Predictor(model, tuning, executor, settings.cores)


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
        # one less than there are cores: the first part of a batch is done by the thread of the request
        self._executor = (
            ThreadPoolExecutor(settings.cores - 1, thread_name_prefix="predict")
            if settings.cores > 1
            else None
        )
        self._loaded: OrderedDict[str, tuple[int, Future[Predictor]]] = OrderedDict()

    def get(self, record: ModelRecord) -> Predictor:
        """Return the predictor of a model; who asks for one that is being loaded waits for it.

        Raises:
            ModelFileError: the file is damaged.
        """
        with self._lock:
            known = self._loaded.get(record.id)
            if known is None:
                future: Future[Predictor] = Future()
                self._loaded[record.id] = (record.bytes, future)
                self._shrink()
            else:
                future = known[1]
                self._loaded.move_to_end(record.id)
        if known is None:
            try:
                made = load(record, self._artifacts, self._settings, self._tuning(), self._executor)
                future.set_result(made)
            except BaseException as error:
                self.forget(record.id)
                future.set_exception(error)
        return future.result()

    def close(self) -> None:
        """End the threads."""
        if self._executor is not None:
            self._executor.shutdown()

    def forget(self, identifier: str) -> None:
        """Drop a model that is deleted."""
        with self._lock:
            self._loaded.pop(identifier, None)

    def _tuning(self) -> Tuning:
        """Measure the machine once, when the first model is loaded."""
        with self._measuring:
            if self._measured is None:
                self._measured = Tuning.measure()
            return self._measured

    def _shrink(self) -> None:
        total = sum(size for size, _ in self._loaded.values())
        while total > MAX_BYTES and len(self._loaded) > 1:
            _, (size, _) = self._loaded.popitem(last=False)
            total -= size
