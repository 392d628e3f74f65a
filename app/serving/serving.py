"""Predictions: the one way from pictures to an answer, for every protocol that asks for them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from app.errors import Unavailable
from app.models.predictors import Predictors
from app.serving.asked import Asked, Piece, Write
from app.serving.queue import Queue
from app.settings import Settings
from app.store.records import ModelRecord

if TYPE_CHECKING:
    from app.api.pictures import PictureSpec
    from app.models.prediction import Picture
    from engine.model.inference import Predictor

INLINE_SECONDS = 1e-3
"""What is done on the event loop takes less than this: handing it to a thread and back takes a third of it."""

BATCH_SECONDS = 0.05
"""What pictures of several requests may take together: a network that takes longer gains nothing by large batches."""
_LOOKS = 16
"""After so many requests that came alone, only one of so many waits a turn of the event loop for others."""
_SPECS = 100
"""Of how many models it is remembered how pictures fit them."""


class Serving:
    """Answers requests for predictions, from one event loop."""

    def __init__(
        self,
        settings: Settings,
        predictors: Predictors,
        turn: asyncio.Semaphore,
    ) -> None:
        """Take what predictions need.

        Args:
            settings: of this process, see `Settings.share`.
            predictors: holds models in memory.
            turn: bounds how many computations of the server run at the same time.
        """
        self._settings, self._predictors, self._turn = settings, predictors, turn
        self._threads = ThreadPoolExecutor(settings.cores, thread_name_prefix="serving")
        self._queues: dict[str, Queue] = {}
        self._specs: dict[str, tuple[ModelRecord, PictureSpec]] = {}
        """How pictures are made to fit a model, by its id, with the record that says so."""
        self._groups: dict[str, deque[Asked]] = {}
        """What is computed on the event loop in its next turn, by model."""
        self._since_company = 0
        """Requests since two were computed together there."""
        self._pictures = self._bytes = 0
        """What is held of requests that are not answered yet."""

    @contextmanager
    def room(self, size: int | None) -> Iterator[Callable[[int], None]]:
        """Keep room for the body of a request, from before it is read until it is answered.

        Args:
            size: its bytes; None where nobody knows: then they count as they arrive.

        Yields:
            What is called with the number of bytes that have arrived, each time that some have.

        Raises:
            Unavailable: too many others are held; what was yielded raises it, too.
        """
        held = 0

        def hold(count: int) -> None:
            nonlocal held
            most = self._settings.max_queue_bytes
            # whatever a single request may be is taken when there is no other
            if self._bytes > held and self._bytes + count > most:
                raise Unavailable(
                    f"requests of {self._bytes} bytes wait here already, of at most {most}", code="queue-full"
                )
            held += count
            self._bytes += count

        self._check_room(1)
        try:
            hold(size or 0)
            yield hold if size is None else lambda count: None
        finally:
            self._bytes -= held

    def _check_room(self, pictures: int) -> None:
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
            Damaged: the model cannot be read.
            ModelFileError: nor can its file.
        """
        # with the first prediction, not with the server
        from app.models.prediction import picture_spec  # noqa: PLC0415
        from app.serving.batch import look  # noqa: PLC0415

        known = self._specs.get(record.id)
        if known is None or known[0] is not record:
            if len(self._specs) >= _SPECS:
                self._specs.clear()
            known = self._specs[record.id] = record, picture_spec(record)
        spec = known[1]
        predictor = self._cheap(record, pictures)
        if predictor is not None and (len(pictures) > 1 or not self._has_company()):
            return write(look(predictor, spec, pictures, self._settings.max_image_pixels))
        asked = Asked(record, spec, pictures, write, stops=stops)
        return await (self._queued(asked, gone) if predictor is None else self._together(asked, predictor))

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(cancel_futures=True)

    def _cheap(self, record: ModelRecord, pictures: Sequence[Picture]) -> Predictor | None:
        """Return the predictor of a model if it has nothing else to do and this takes less than a hand-off."""
        if record.id in self._queues or self._settings.batch_wait_ms:
            return None
        predictor = self._predictors.held(record.id)
        if predictor is None:
            return None
        from app.serving.batch import decode_seconds  # noqa: PLC0415 - see `predict`

        seconds = predictor.seconds(len(pictures))
        for picture in pictures:
            if seconds > INLINE_SECONDS:
                break
            seconds += decode_seconds(picture)
        return predictor if seconds <= INLINE_SECONDS else None

    def _has_company(self) -> bool:
        """Whether others may ask in the same turn of the loop: they did lately, or it is time to look again."""
        self._since_company += 1
        return self._since_company < _LOOKS or self._since_company % _LOOKS == 0

    async def _together(self, asked: Asked, predictor: Predictor) -> Any:
        """Compute on the event loop, together with what others have asked of a model in the same turn of the loop."""
        from app.serving.batch import compute, decode_seconds  # noqa: PLC0415 - see `predict`

        group = self._groups.setdefault(asked.record.id, deque())
        group.append(asked)
        try:
            await asyncio.sleep(0)
            if (
                asked.answer is None
            ):  # the first of those that are left: tasks go on in the order in which they waited
                decoding = 0.0
                pieces: list[Piece] = []
                while group:
                    decoding += decode_seconds(group[0].pictures[0])
                    if pieces and predictor.seconds(len(pieces) + 1) + decoding > INLINE_SECONDS:
                        break
                    one = group.popleft()
                    one.start()
                    pieces += one.cut(1)
                if len(pieces) > 1:
                    self._since_company = 0
                compute(predictor, pieces, self._settings.max_image_pixels, None)
            return asked.result()
        finally:
            if asked in group:
                group.remove(asked)
            if not group:
                self._groups.pop(asked.record.id, None)

    async def _queued(self, asked: Asked, gone: Callable[[], Awaitable[None]]) -> Any:
        """Let a request wait for its turn, and for the end of it."""
        from app.models.prediction import at_a_time  # noqa: PLC0415 - see `predict`

        count = len(asked.pictures)
        self._check_room(count)
        future = asked.future = asyncio.get_running_loop().create_future()
        name = asked.record.id
        queue = self._queues.get(name)
        if queue is None:
            queue = self._queues[name] = Queue(
                self._compute,
                self._turn,
                ways=self._settings.cores,
                batch_size=min(self._settings.batch_size, at_a_time(asked.spec)),
                wait=self._settings.batch_wait_ms / 1000,
                most=partial(self._most, name),
                emptied=partial(self._queues.pop, name, None),
            )
        queue.put(asked)
        leaving = asyncio.ensure_future(gone())
        seconds = self._settings.predict_seconds
        self._pictures += count
        try:
            await asyncio.wait({future, leaving}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if future.done():
                return future.result()
            if leaving.done():
                leaving.result()
            raise Unavailable(
                f"no prediction was ready after {seconds:g} s, the longest that a request waits here",
                code="deadline-exceeded",
            )
        finally:
            self._pictures -= count
            if future.cancel():
                queue.drop(asked)
            if not leaving.cancel() and not leaving.cancelled():
                leaving.exception()  # seen, or asyncio says that nobody has

    def _most(self, identifier: str) -> int:
        """Return how many pictures of several requests are worth a batch: each waits for all of them."""
        predictor = self._predictors.held(identifier)
        return 1 if predictor is None else max(1, int(BATCH_SECONDS / max(predictor.picture_seconds, 1e-9)))

    async def _compute(self, pieces: Sequence[Piece]) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._threads, self._in_thread, pieces)
        except Exception as error:
            for piece in pieces:
                piece.asked.fail(error)

    def _in_thread(self, pieces: Sequence[Piece]) -> None:
        """Load the model, if it is not in memory, and compute a batch."""
        from app.serving.batch import compute  # noqa: PLC0415 - see `predict`

        predictor = self._predictors.get(pieces[0].asked.record)
        predictor.measure()
        compute(predictor, pieces, self._settings.max_image_pixels, self._predictors.executor)
