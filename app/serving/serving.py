"""Predictions: the one way from pictures to an answer, for every protocol that asks for them."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from app.api.pictures import PictureSpec
from app.errors import Unavailable
from app.metrics.metrics import Metrics
from app.models.prediction import Picture, at_a_time, picture_spec
from app.models.predictors import Predictors
from app.pictures.bounds import Bounds
from app.serving.asked import Asked, Piece, Write
from app.serving.batch import compute, decode_seconds, look
from app.serving.computing import Computing
from app.serving.meters import COMPUTE, Meters
from app.serving.queue import Queue
from app.serving.room import Bodies, Room
from app.serving.statistics import Statistics
from app.settings import Settings
from app.store.records import ModelRecord
from engine.fast.serving.pool import SMALL
from engine.model.inference import Predictor

if TYPE_CHECKING:
    from app.tracing.tracing import Tracing

INLINE_SECONDS = 1e-3
"""What is done on the event loop takes less than this: handing it to a thread and back takes a third of it."""

BATCH_SECONDS = 0.05
"""What pictures of several requests may take together: a network that takes longer gains nothing by large batches."""
_LOOKS = 17
"""After so many requests that came alone, only one of so many waits a turn of the event loop for others.

A prime: of eight that always come together it would else always be the same one, such as the last.
"""
_SPECS = 100
"""Of how many models it is remembered how pictures fit them."""


class Serving:
    """Answers requests for predictions, from one event loop."""

    def __init__(
        self,
        settings: Settings,
        predictors: Predictors,
        computing: Computing,
        bodies: Bodies,
        metrics: Metrics | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        """Take what predictions need.

        Args:
            settings: of this process, see `Settings.share`.
            predictors: holds models in memory.
            computing: bounds what the server computes at the same time.
            bodies: bounds what requests of all kinds hold.
            metrics: where it is counted what models are asked.
            tracing: what makes spans of it, where they are wanted.
        """
        self._settings, self._predictors, self._computing, self._bodies = (
            settings,
            predictors,
            computing,
            bodies,
        )
        self._bounds = Bounds(settings.max_image_pixels, computing.memory)
        self.statistics = Statistics()
        self._meters = Meters(metrics or Metrics.alone(), tracing)
        self._tracing = tracing
        self._queues: dict[str, Queue] = {}
        self._specs: dict[str, tuple[ModelRecord, PictureSpec]] = {}
        """How pictures are made to fit a model, by its id, with the record that says so."""
        self._groups: dict[str, deque[tuple[Asked, float]]] = {}
        """What is computed on the event loop in its next turn, by model; and the seconds that decoding each takes."""
        self._preparing: set[str] = set()
        """Models that are made ready to compute several pictures at once."""
        self._since_company = 0
        """Requests since two were computed together there."""
        self._pictures = 0
        """Those of requests that are not answered yet."""

    @property
    def waiting(self) -> int:
        """How many pictures wait for a thread or are computed by one."""
        return self._pictures

    def room(self) -> Room:
        """Keep room for a request for predictions while entered; see `Bodies.room`.

        Raises:
            Unavailable: too many pictures wait already.
        """
        self.check_room(1)
        return self._bodies.room()

    def check_room(self, pictures: int) -> None:
        """Tell whether so many pictures more may wait.

        Raises:
            Unavailable: too many others do.
        """
        most = self._settings.max_queue
        if self._pictures and self._pictures + pictures > most:
            raise Unavailable(
                f"{self._pictures} pictures wait here already, of at most {most}", code="queue-full"
            )

    async def predict(
        self,
        record: ModelRecord,
        pictures: Sequence[Picture],
        write: Write,
        gone: Callable[[], Awaitable[None]],
        *,
        stops: bool,
    ) -> Any:
        """Return what `write` makes of the predictions of some pictures.

        Args:
            record: of the model.
            pictures: as they were sent.
            write: makes the answer, perhaps in a thread; see there.
            gone: raises once the caller has gone, and until then waits.
            stops: whether the first picture that cannot be decoded fails the request.

        Raises:
            Unavailable: too many pictures wait already, or this one's turn did not come in time.
            Damaged: the model or its file cannot be read.
        """
        known = self._specs.get(record.id)
        if known is None or known[0] is not record:
            if len(self._specs) >= _SPECS:
                self._specs.clear()
            known = self._specs[record.id] = record, picture_spec(record)
        spec = known[1]
        predictor, decoding = self._cheap(record, pictures)
        if predictor is not None and (len(pictures) > 1 or not self._has_company(record.id)):
            begun = time.perf_counter()
            outcomes = look(predictor, spec, pictures, self._bounds)
            meter = self._meters.of(record)
            meter.waited(0.0)
            ended = time.perf_counter()
            meter.computed(len(pictures), ended - begun)
            if self._tracing is not None:
                self._tracing.add(COMPUTE, self._tracing.here(), begun, ended, pictures=len(pictures))
            return write(outcomes)
        asked = Asked(record, spec, pictures, write, stops=stops)
        if self._tracing is not None:
            asked.trace = self._tracing.here()
        if predictor is None:
            return await self._queued(asked, gone)
        return await self._together(asked, decoding, predictor)

    def _cheap(self, record: ModelRecord, pictures: Sequence[Picture]) -> tuple[Predictor | None, float]:
        """Return the predictor of a model if it has nothing else to do and this takes less than a hand-off.

        And the seconds that decoding is likely to take.
        """
        decoding = 0.0
        if record.id in self._queues or self._settings.batch_wait_ms:
            return None, decoding
        predictor = self._predictors.held(record.id)
        if predictor is None:
            return None, decoding
        left = INLINE_SECONDS - predictor.seconds(len(pictures))
        for picture in pictures:
            if decoding > left:
                break
            decoding += decode_seconds(picture)
        return predictor if decoding <= left else None, decoding

    def _has_company(self, identifier: str) -> bool:
        """Whether others ask in the same turn of the loop: one waits, they did lately, or it is time to look again."""
        self._since_company += 1
        if identifier in self._groups:
            return True
        return self._since_company < _LOOKS or self._since_company % _LOOKS == 0

    async def _together(self, asked: Asked, decoding: float, predictor: Predictor) -> Any:
        """Compute on the event loop, together with what others have asked of a model in the same turn of the loop."""
        group = self._groups.setdefault(asked.record.id, deque())
        waiting = asked, decoding
        group.append(waiting)
        try:
            await asyncio.sleep(0)
            # the first of those that are left: tasks go on in the order in which they waited
            if asked.answer is None:
                left = INLINE_SECONDS
                pieces: list[Piece] = []
                while group:
                    left -= group[0][1]
                    if pieces and (seconds := predictor.seconds(len(pieces) + 1)) > left:
                        if math.isinf(seconds):
                            self._prepare(asked.record.id, predictor)
                        break
                    one, _ = group.popleft()
                    one.start()
                    pieces += one.cut(1)
                if len(pieces) > 1:
                    self._since_company = 0
                with self._meters.of(asked.record).batch(pieces):
                    compute(predictor, pieces, self._bounds, None)
            return asked.result()
        finally:
            if waiting in group:
                group.remove(waiting)
            if not group:
                self._groups.pop(asked.record.id, None)

    def _prepare(self, identifier: str, predictor: Predictor) -> None:
        """Let a thread make ready to compute several pictures at once, for the next who come together."""
        if identifier in self._preparing:
            return
        self._preparing.add(identifier)
        done = asyncio.get_running_loop().run_in_executor(self._computing.threads, predictor.measure, SMALL)
        done.add_done_callback(lambda _: self._preparing.discard(identifier))

    async def _queued(self, asked: Asked, gone: Callable[[], Awaitable[None]]) -> Any:
        """Let a request wait for its turn, and for the end of it."""
        count = len(asked.pictures)
        self.check_room(count)
        loop = asyncio.get_running_loop()
        future = asked.future = loop.create_future()
        name = asked.record.id
        queue = self._queues.get(name)
        if queue is None:
            queue = self._queues[name] = Queue(
                self._compute,
                self._computing.turns,
                ways=self._settings.cores,
                batch_size=min(self._settings.batch_size, at_a_time(asked.spec)),
                wait=self._settings.batch_wait_ms / 1000,
                most=partial(self._most, name),
                emptied=partial(self._queues.pop, name, None),
            )
        queue.put(asked)
        leaving = asyncio.ensure_future(gone())
        leaving.add_done_callback(partial(_end_with, future))
        seconds = self._settings.predict_seconds
        deadline = loop.call_later(seconds, _expire, future, seconds)
        self._pictures += count
        try:
            return await future
        finally:
            self._pictures -= count
            if asked.answer is None:
                queue.drop(asked)
            deadline.cancel()
            leaving.cancel()

    def _most(self, identifier: str) -> int:
        """Return how many pictures of several requests are worth a batch: each waits for all of them."""
        predictor = self._predictors.held(identifier)
        return 1 if predictor is None else max(1, int(BATCH_SECONDS / max(predictor.picture_seconds, 1e-9)))

    async def _compute(self, pieces: Sequence[Piece]) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._computing.threads, self._in_thread, pieces)
        except Exception as error:
            for piece in pieces:
                piece.asked.fail(error)

    def _in_thread(self, pieces: Sequence[Piece]) -> None:
        """Load the model, if it is not in memory, and compute a batch."""
        predictor = self._predictors.get(pieces[0].asked.record)
        predictor.measure()
        with self._meters.of(pieces[0].asked.record).batch(pieces):
            compute(predictor, pieces, self._bounds, self._predictors.executor)


def _end_with(future: asyncio.Future[Any], leaving: asyncio.Future[None]) -> None:
    """Let a request end as the wait for its caller to go has ended."""
    if not leaving.cancelled() and (error := leaving.exception()) is not None and not future.done():
        future.set_exception(error)


def _expire(future: asyncio.Future[Any], seconds: float) -> None:
    if not future.done():
        detail = f"no prediction was ready after {seconds:g} s, the longest that a request waits here"
        future.set_exception(Unavailable(detail, code="deadline-exceeded"))
