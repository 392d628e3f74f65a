"""Models loaded for prediction, the least recently used dropped first."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.errors import Damaged
from app.files.artifacts import Artifacts
from app.models.libraries import settled
from app.settings import Settings
from app.store.records import ModelRecord

if TYPE_CHECKING:
    from engine.fast.layout.gemm import Tuning
    from engine.fast.serving.plans import PlanMemory
    from engine.model.computation import Library
    from engine.model.inference import Predictor

log = logging.getLogger(__name__)

_LOADED_TO_FILE = 2
"""What a model is likely to take, by its file: the weights as they are read, and as they are computed with."""


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
        Damaged: its file is missing or damaged, or the row says otherwise than the file what the outputs are.
    """
    # with the first model, not with the server
    from engine.errors import ModelFileError  # noqa: PLC0415
    from engine.model.inference import Predictor  # noqa: PLC0415
    from engine.model.model_file import read_model  # noqa: PLC0415

    path = artifacts.local_path(record.path)
    try:
        model = read_model(path, record.bytes, settings.max_parameters)
    except FileNotFoundError as error:
        raise Damaged.of("model", record.id, "its file is missing") from error
    except ModelFileError as error:
        raise Damaged.of("model", record.id, f"its file cannot be read, {error.detail}") from error
    if len(record.classes) != len(model.classes) or record.target not in model.loss.targets:
        raise Damaged.of("model", record.id, "its classes are not those of its file")
    return Predictor(model, tuning, executor, settings.cores, memory)


@dataclass(slots=True)
class _Entry:
    """A model that is loaded or being loaded.

    Attributes:
        guess: what it is likely to take until that is known.
        future: the predictor, for who waits for it.
        loaded: the predictor, unless it is still being loaded or cannot be.
    """

    guess: int
    future: Future[Predictor]
    loaded: Predictor | None = None

    @property
    def bytes(self) -> int:
        """What it takes of memory."""
        loaded = self.loaded
        return self.guess if loaded is None else loaded.bytes


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
        self._loaded: OrderedDict[str, _Entry] = OrderedDict()
        """By id, the one used longest ago first."""
        self._used: set[str] = set()
        self._closed = False

    @property
    def executor(self) -> Executor | None:
        """Threads that help with parts of a batch; None where there is one core."""
        return self._executor

    @property
    def bytes(self) -> int:
        """What the models hold that are loaded, and are likely to hold that are being loaded."""
        with self._lock:
            return self._held()

    def __len__(self) -> int:
        """How many models are in memory or on their way there."""
        return len(self._loaded)

    def held(self, identifier: str) -> Predictor | None:
        """Return the predictor of a model if it is in memory; never waits for long."""
        with self._lock:
            entry = self._loaded.get(identifier)
            loaded = None if entry is None else entry.loaded
            if loaded is not None:
                self._loaded.move_to_end(identifier)
                self._used.add(identifier)
        return loaded

    def library(self, identifier: str) -> Library | None:
        """Return what computes the predictions of a model if it is in memory; asking is no use of it."""
        with self._lock:
            entry = self._loaded.get(identifier)
            loaded = None if entry is None else entry.loaded
        return None if loaded is None else loaded.library

    def get(self, record: ModelRecord) -> Predictor:
        """Return the predictor of a model; a call for one that is being loaded waits for it.

        Raises:
            Damaged: the file is missing or damaged.
            Conflict: it cannot be computed by what has to compute it, see `settled`.
        """
        with self._lock:
            entry = self._loaded.get(record.id)
            new = entry is None
            if entry is None:
                entry = self._begin(record)
            self._loaded.move_to_end(record.id)
            self._used.add(record.id)
        if new:
            self._load(record, entry, asked=True)
        return entry.future.result()

    def warm(self, record: ModelRecord) -> bool:
        """Load a model that nobody has asked for, and lay out its first plan; tell whether it is in memory then.

        It is not where it would take the room of others: it is the first to be let go until somebody uses it.

        Raises:
            Damaged: the file is missing or damaged.
        """
        with self._lock:
            if record.id in self._loaded:
                return True
            if self._held() + _LOADED_TO_FILE * record.bytes > self._settings.models_bytes:
                return False
            begun = self._begin(record)
            self._loaded.move_to_end(record.id, last=False)
        self._load(record, begun, asked=False)
        begun.future.result().measure()
        self.shrink()
        return record.id in self._loaded

    def shrink(self) -> None:
        """Let the models go that were used longest ago, until the others take no more than they may; one stays."""
        dropped = []
        with self._lock:
            over = self._held() - self._settings.models_bytes
            while over > 0 and len(self._loaded) > 1:
                _, entry = self._loaded.popitem(last=False)
                over -= entry.bytes
                dropped.append(entry)
        for entry in dropped:
            entry.future.add_done_callback(_join)

    def take_used(self) -> frozenset[str]:
        """Return the ids of the models that were asked for since the last call."""
        with self._lock:
            used, self._used = frozenset(self._used), set()
        return used

    def close(self) -> None:
        """End the threads and processes."""
        if self._executor is not None:
            self._executor.shutdown()
        with self._lock:
            self._closed = True
            loaded = self._ready()
        for predictor in loaded:
            predictor.join()

    def forget(self, identifier: str) -> None:
        """Drop a model that is deleted."""
        with self._lock:
            entry = self._loaded.pop(identifier, None)
        if entry is not None:
            entry.future.add_done_callback(_join)

    def _begin(self, record: ModelRecord) -> _Entry:
        entry = self._loaded[record.id] = _Entry(_LOADED_TO_FILE * record.bytes, Future())
        return entry

    def _load(self, record: ModelRecord, entry: _Entry, *, asked: bool) -> None:
        """Load a model for all who wait for it; what goes wrong is theirs."""
        self.shrink()
        try:
            made = load(record, self._artifacts, self._settings, self._tuning(), self._executor, self._memory)
            made = settled(made, record.id, self._settings, self._executor)
            entry.loaded = made
            entry.future.set_result(made)
        except BaseException as error:
            self.forget(record.id)
            entry.future.set_exception(error)
        else:
            self._split(record.id, made, asked=asked)
            self.shrink()

    def _held(self) -> int:
        return sum(entry.bytes for entry in self._loaded.values())

    def _split(self, identifier: str, made: Predictor, *, asked: bool) -> None:
        """Give a model that was just loaded a second process; those used longest ago lose theirs to one asked for."""
        limit = self._settings.split_models
        if limit == 0 or self._closed:
            return
        with self._lock:
            if not asked and sum(predictor.is_split for predictor in self._ready()) >= limit:
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
        if made not in loaded or self._closed:  # deleted meanwhile, or the server ends
            made.join()

    def _ready(self) -> list[Predictor]:
        """Return what is loaded, the least recently used first."""
        return [loaded for entry in self._loaded.values() if (loaded := entry.loaded) is not None]

    def _tuning(self) -> Tuning:
        """Look once what is known of the machine, when the first model is loaded."""
        with self._measuring:
            if self._measured is None:
                from app.files.machines import known_tuning  # noqa: PLC0415 - see `load`
                from engine.fast.serving.plans import PLAN_BYTES, PlanMemory  # noqa: PLC0415

                self._measured = known_tuning(self._artifacts.root)
                self._memory = PlanMemory(min(self._settings.part(PLAN_BYTES), self._settings.models_bytes))
            return self._measured


def _join(loaded: Future[Predictor]) -> None:
    if loaded.exception() is None:
        loaded.result().join()
