"""The queue of one model: what waits together becomes one batch."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable, Sequence

from app.serving.asked import Asked, Piece

Compute = Callable[[Sequence[Piece]], Awaitable[None]]


class Queue:
    """Pieces of requests for one model. Lives on the event loop.

    Up to `ways` batches of a model are computed at the same time, each in its turn. While all are busy, pieces wait;
    whoever has its turn next takes its share of what waits, so that nobody waits for a batch to become full.
    """

    def __init__(
        self,
        compute: Compute,
        turn: asyncio.Semaphore,
        *,
        ways: int,
        batch_size: int,
        wait: float,
        most: Callable[[], int] | None = None,
        emptied: Callable[[], object] = lambda: None,
    ) -> None:
        """Begin with nothing waiting.

        Args:
            compute: computes a batch off the event loop; leaves no answer of it open.
            turn: bounds how many batches of all models are computed at the same time.
            ways: how many of this model are.
            batch_size: the most pictures of a batch.
            wait: seconds that a batch which is not full waits for more, when nothing runs.
            most: returns how many pictures of several requests are worth a batch now; by default `batch_size`.
            emptied: called when nothing waits or runs any more.
        """
        self._compute, self._turn = compute, turn
        self._ways, self._batch_size, self._wait = ways, batch_size, wait
        self._most, self._emptied = most, emptied
        self._pieces: list[tuple[int, int, Piece]] = []
        """A heap, ordered by when each is due and when it came."""
        self._clock = 0
        self._numbers = itertools.count()
        self._pictures = 0
        self._tasks: set[asyncio.Task[None]] = set()
        """Held, or nobody would."""
        self._workers = 0
        self._asking = 0
        """Workers that are waiting for their turn."""
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not self._pieces and not self._workers

    def put(self, asked: Asked) -> None:
        """Let a request wait for its turn; its future has the answer later.

        Each request gets the same share (fair queuing by finish times: Demers, Keshav & Shenker 1989). A piece that
        ends with the n-th picture of its request goes before pieces of others that came no sooner and end with a later
        one, so that one picture does not wait for hundreds that were there before it.
        """
        for piece in asked.cut(self._batch_size):
            heapq.heappush(self._pieces, (self._clock + piece.last, next(self._numbers), piece))
        self._pictures += len(asked.pictures)
        if self._wait and not self._workers and self._pictures < self._batch_size:
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(self._wait, self._start)
        else:
            self._start()

    def drop(self, asked: Asked) -> None:
        """Let go of what still waits of a request that nobody waits for."""
        kept = [entry for entry in self._pieces if entry[2].asked is not asked]
        if len(kept) < len(self._pieces):
            heapq.heapify(kept)
            self._pieces = kept
            self._pictures = sum(piece.size for _, _, piece in kept)

    def _start(self) -> None:
        """Have as many workers as there is work for."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for _ in range(min(len(self._pieces), self._ways) - self._workers):
            self._workers += 1
            self._asking += 1
            task = asyncio.get_running_loop().create_task(self._work())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _work(self) -> None:
        """Compute batches until nothing waits."""
        try:
            await self._next()
            while self._pieces:
                self._asking += 1
                await self._next()
        finally:
            self._workers -= 1
            if self.is_idle:
                self._emptied()

    async def _next(self) -> None:
        try:
            await self._turn.acquire()
        finally:
            self._asking -= 1
        try:
            batch = self._take()
            if batch:
                await self._compute(batch)
                for piece in batch:
                    piece.asked.deliver()
        finally:
            self._turn.release()

    def _take(self) -> list[Piece]:
        """Return the pieces of the next batch, which somebody still waits for."""
        # the others that wait for their turn get as much
        most = self._batch_size if self._most is None else min(self._batch_size, self._most())
        share = min(most, -(-self._pictures // (1 + self._asking)))
        batch: list[Piece] = []
        count = 0
        while self._pieces and (not batch or count + self._pieces[0][2].size <= share):
            self._clock, _, piece = heapq.heappop(self._pieces)
            self._pictures -= piece.size
            if piece.asked.start():
                batch.append(piece)
                count += piece.size
        return batch
