"""What the computations of all requests share: turns, the threads that compute, and memory."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Literal, TypeVar

from app.errors import Unavailable
from app.files.budget import MemoryBudget

T = TypeVar("T")


class CallerLeft(Exception):
    """Nobody waits for what would have been computed."""


class Computing:
    """Bounds what is computed for requests at the same time, whatever it is; for one event loop.

    Who waits holds no thread. Threads of the pool that reads rows and files are not used for computing, so that calls
    which only read are answered while all turns are taken.

    Attributes:
        turns: one for each computation at a time.
        threads: as many as there are turns.
        memory: what those hold that have their turn.
        waiting: how many calls wait for theirs.
    """

    def __init__(self, turns: int, memory_bytes: int, most_waiting: int) -> None:
        """Take how many compute at a time, the memory that they hold together, and how many others may wait."""
        self.turns = asyncio.Semaphore(turns)
        self.threads = ThreadPoolExecutor(turns, thread_name_prefix="computing")
        self.memory = MemoryBudget(memory_bytes)
        self.waiting, self._most = 0, most_waiting
        self._callers = threading.local()

    async def run(self, work: Callable[[], T], leaving: asyncio.Future[None]) -> T:
        """Return what some work returns, done in a thread once its turn has come.

        Args:
            work: begins only if its caller is still there then.
            leaving: is done when the caller has gone.

        Raises:
            CallerLeft: before it began, or as `go_on` raises it.
            Unavailable: too many others wait.
        """
        await self._turn(leaving)

        def begin() -> T:
            self._callers.leaving = leaving
            return work()

        done = asyncio.get_running_loop().run_in_executor(self.threads, copy_context().run, begin)
        # a thread cannot be stopped: the turn is over when it has ended, whoever still waits for it
        done.add_done_callback(lambda _: self.turns.release())
        return await asyncio.shield(done)

    def go_on(self) -> None:
        """Return if somebody waits for what this thread computes; to be called between its steps.

        Raises:
            CallerLeft: nobody does.
        """
        leaving: asyncio.Future[None] | None = getattr(self._callers, "leaving", None)
        if leaving is not None and leaving.done():
            raise CallerLeft

    async def _turn(self, leaving: asyncio.Future[None]) -> None:
        if self.turns.locked() and self.waiting >= self._most:
            raise Unavailable(
                f"{self.waiting} calls wait here already to be computed, of at most {self._most}",
                code="queue-full",
            )
        self.waiting += 1
        coming = asyncio.ensure_future(self.turns.acquire())
        came = False
        try:
            await asyncio.wait((coming, leaving), return_when=asyncio.FIRST_COMPLETED)
            came = not leaving.done()
        finally:
            self.waiting -= 1
            if not came:
                coming.cancel()
                coming.add_done_callback(self._give_back)
        if not came:
            raise CallerLeft

    def _give_back(self, coming: asyncio.Future[Literal[True]]) -> None:
        if not coming.cancelled():
            self.turns.release()

    def close(self) -> None:
        """End the threads; what they still compute, nobody waits for."""
        self.threads.shutdown(wait=False, cancel_futures=True)
