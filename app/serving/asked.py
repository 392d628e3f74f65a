"""What somebody asked of a model, and how far it is."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from app.errors import DomainError
from app.store.records import ModelRecord

if TYPE_CHECKING:
    from app.api.pictures import PictureSpec
    from app.models.prediction import Picture
    from engine.arrays import Array

Outcome: TypeAlias = "Array | DomainError"
"""The predictions (K,) of a picture, or why there are none."""

SKIPPED = DomainError("an earlier picture failed the request")
"""What becomes of pictures that nobody wants any more."""

Write: TypeAlias = Callable[[Sequence[Outcome]], Any]
"""Makes the answer, in whatever thread computed the predictions; what it raises is the answer, too."""

_counting = threading.Lock()
"""Pieces of one request may end in several threads."""


class Asked:
    """Pictures of one request for one model, and what has become of them.

    Attributes:
        record: of the model.
        spec: how pictures are made to fit it.
        pictures: as they were sent.
        write: see `Write`.
        stops: whether pictures are of no use any more once one has failed.
        outcomes: of each picture.
        started: how many of its pieces are being computed or have been.
        done: how many have been.
        stopped: whether no other piece of it need start.
        answer: what `write` returned or raised; None before.
        future: what the caller waits for, if it has to.
        since: when it began to wait.
        trace: where in a trace it is, where there are traces.
    """

    __slots__ = (
        "answer",
        "done",
        "future",
        "outcomes",
        "pictures",
        "pieces",
        "record",
        "since",
        "spec",
        "started",
        "stopped",
        "stops",
        "trace",
        "write",
    )

    def __init__(
        self,
        record: ModelRecord,
        spec: PictureSpec,
        pictures: Sequence[Picture],
        write: Write,
        *,
        stops: bool,
    ) -> None:
        """Begin with nothing computed."""
        self.record, self.spec, self.pictures, self.write, self.stops = record, spec, pictures, write, stops
        self.since = time.perf_counter()
        self.trace: Any = None
        self.outcomes: list[Outcome] = [SKIPPED] * len(pictures)
        self.pieces = self.started = self.done = 0
        self.stopped = False
        self.answer: tuple[Any, BaseException | None] | None = None
        self.future: asyncio.Future[Any] | None = None

    def cut(self, size: int) -> list[Piece]:
        """Return its pictures in pieces of at most `size`, always the same ones."""
        count = len(self.pictures)
        pieces = [Piece(self, first, min(first + size, count)) for first in range(0, count, size)]
        self.pieces = len(pieces)
        return pieces

    def start(self) -> bool:
        """Count a piece as started, unless nobody waits for it any more."""
        with _counting:
            if self.stopped or (self.future is not None and self.future.done()):
                return False
            self.started += 1
            return True

    def end(self, piece: Piece) -> None:
        """Count a piece as done, and write the answer if it was the last one."""
        outcomes = self.outcomes[piece.first : piece.last]
        failed = self.stops and any(isinstance(outcome, DomainError) for outcome in outcomes)
        with _counting:
            self.stopped |= failed
            self.done += 1
            complete = self.done == (self.started if self.stopped else self.pieces)
        if complete and self.answer is None:
            try:
                self.answer = self.write(self.outcomes), None
            except Exception as error:
                self.answer = None, error

    def fail(self, error: BaseException) -> None:
        """Let the answer be an error, whatever else becomes of it."""
        self.stopped = True
        self.answer = None, error

    def result(self) -> Any:
        """Return the answer that was written, or raise it."""
        if self.answer is None:
            raise RuntimeError("nothing was computed")
        value, error = self.answer
        if error is not None:
            raise error
        return value

    def deliver(self) -> None:
        """Give the answer, if there is one, to who waits for it. On the event loop."""
        if self.answer is None or self.future is None or self.future.done():
            return
        value, error = self.answer
        if error is None:
            self.future.set_result(value)
        else:
            self.future.set_exception(error)


@dataclass(frozen=True, slots=True)
class Piece:
    """Pictures of one request that are computed together, perhaps with those of others."""

    asked: Asked
    first: int
    last: int

    @property
    def size(self) -> int:
        """How many pictures it has."""
        return self.last - self.first
