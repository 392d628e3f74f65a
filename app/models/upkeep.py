"""Models in memory while nobody asks: loaded after the start, let go when they take too much, noted as used."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

from app.errors import DomainError
from app.log import Log
from app.metrics.faults import report
from app.metrics.metrics import Metrics
from app.models.predictors import Predictors
from app.store import Store
from app.store.records import ModelRecord, now
from engine.errors import EngineError

log = Log(__name__)

_INTERVAL = 10.0
"""Seconds between two looks at what is held."""
_ROUNDS = 6
"""Looks between two notes of what was used."""
_PAUSE = 0.05
"""Seconds between two models that are loaded ahead, in which requests have the interpreter for themselves."""


class Upkeep:
    """A thread that loads the models with an alias, and then looks after those in memory now and then.

    Requests never wait for it: one for a model that is not in memory yet loads it itself. Nor does the end of the
    server: what it is loading then is left.

    Args:
        store: the rows.
        predictors: the models in memory.
        interval: seconds between two looks at what is held.
        also_note: writes down what else was used.
        metrics: where faults of storage are counted.
    """

    def __init__(
        self,
        store: Store,
        predictors: Predictors,
        interval: float = _INTERVAL,
        also_note: Callable[[], None] = lambda: None,
        metrics: Metrics | None = None,
    ) -> None:
        self._store, self._predictors, self._interval = store, predictors, interval
        self._also_note = also_note
        self._metrics = metrics or Metrics.alone()
        self._stopping = threading.Event()
        self._writing = threading.Lock()

    def start(self) -> None:
        """Start the thread; once the server answers."""
        threading.Thread(target=self._run, name="upkeep", daemon=True).start()

    def stop(self) -> None:
        """Load no other model, and note what was used since the last time."""
        self._stopping.set()
        with self._writing:  # after this nothing of it touches the store
            self._note_used()

    def _run(self) -> None:
        try:
            self._warm_up()
        except Exception:
            log.exception("models_not_loaded_ahead")
        for number in itertools.count(1):
            if self._stopping.wait(self._interval):
                return
            try:
                self._predictors.shrink()
                with self._writing:
                    if number % _ROUNDS == 0 and not self._stopping.is_set():
                        self._note_used()
            except Exception as error:
                report(self._metrics, log, "models_not_looked_after", error)

    def _warm_up(self) -> None:
        """Load the models with an alias, latest used first, as far as there is room."""
        with self._writing:
            found = () if self._stopping.is_set() else self._store.models.aliased()
        loaded = [record.id for record in found if not self._stopping.wait(_PAUSE) and self._load(record)]
        if found:
            log.info("models_loaded_ahead", models=loaded, of=len(found), bytes=self._predictors.bytes)

    def _load(self, record: ModelRecord) -> bool:
        """Load a model and lay out its first plan; tell whether it is in memory now."""
        try:
            return self._predictors.warm(record)
        except (DomainError, EngineError, OSError, MemoryError) as error:
            log.warning("model_cannot_be_loaded", id=record.id, error=str(error))
        except Exception:
            log.exception("model_cannot_be_loaded", id=record.id)
        return False

    def _note_used(self) -> None:
        used = self._predictors.take_used()
        try:
            if used:
                self._store.uses.note(used, now())
            self._also_note()
        except DomainError as error:  # worth no more than that
            log.warning("uses_not_noted", error=str(error))
