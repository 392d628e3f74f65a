"""What models are asked, counted by their names: batches, how long they take, how long requests wait for them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from app.metrics.families import BATCH_PICTURES, BATCH_SECONDS, PREDICTION_WAIT, PREDICTIONS
from app.metrics.metrics import Metrics
from app.serving.asked import Piece
from app.store.records import ModelRecord

if TYPE_CHECKING:
    from app.tracing.tracing import Tracing

WAIT, COMPUTE = "prediction wait", "prediction compute"
"""The spans below that of a request."""


class Meter:
    """The counts of one model, or of all that are not told apart."""

    __slots__ = ("_batches", "_pictures", "_seconds", "_tracing", "_waits")

    def __init__(self, metrics: Metrics, label: str, tracing: Tracing | None) -> None:
        self._tracing = tracing
        self._pictures = metrics.counter(PREDICTIONS, label)
        self._batches = metrics.histogram(BATCH_PICTURES, label)
        self._seconds = metrics.histogram(BATCH_SECONDS, label)
        self._waits = metrics.histogram(PREDICTION_WAIT, label)

    def computed(self, pictures: int, seconds: float) -> None:
        """Count a batch."""
        self._pictures.add(pictures)
        self._batches.observe(pictures)
        self._seconds.observe(seconds)

    def waited(self, seconds: float) -> None:
        """Count a request whose computation begins."""
        self._waits.observe(seconds)

    @contextmanager
    def batch(self, pieces: Sequence[Piece]) -> Iterator[None]:
        """Count the pieces that are computed while it is entered, and the requests that begin with them."""
        begun = time.perf_counter()
        for piece in pieces:
            if piece.first == 0:
                self.waited(begun - piece.asked.since)
        try:
            yield
        finally:
            ended = time.perf_counter()
            self.computed(sum(piece.size for piece in pieces), ended - begun)
            if self._tracing is not None:
                for piece in pieces:
                    self._trace(self._tracing, piece, begun, ended)

    def _trace(self, tracing: Tracing, piece: Piece, begun: float, ended: float) -> None:
        asked = piece.asked
        if piece.first == 0:
            tracing.add(WAIT, asked.trace, asked.since, begun)
        tracing.add(COMPUTE, asked.trace, begun, ended, pictures=piece.size)


class Meters:
    """The meters of the models, by their names."""

    def __init__(self, metrics: Metrics, tracing: Tracing | None = None) -> None:
        self._metrics, self._tracing = metrics, tracing
        self._meters: dict[str, Meter] = {}

    def of(self, record: ModelRecord) -> Meter:
        """Return the meter of a model."""
        label = self._metrics.model(record.name)
        meter = self._meters.get(label)
        if meter is None:
            meter = self._meters[label] = Meter(self._metrics, label, self._tracing)
        return meter
