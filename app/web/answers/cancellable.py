"""Long computations that end with their caller."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from app.errors import Unavailable

T = TypeVar("T")


async def finish(
    request: Request, steps: Iterator[T | None], turn: asyncio.Semaphore, stopping: Callable[[], bool]
) -> T:
    """Run steps one after the other, each in a thread and in its turn, until one gives a result.

    Between two steps others get their turn, and nothing more is computed for a caller who has gone.

    Args:
        request: whose body has been read.
        steps: each gives None, the last one the result.
        turn: bounds how many steps of all callers run at the same time.
        stopping: whether this server is about to stop.

    Raises:
        ClientDisconnect: the caller closed the connection.
        Unavailable: the server is about to stop.
    """
    gone = asyncio.ensure_future(left(request))
    try:
        while True:
            async with turn:
                if gone.done():
                    raise ClientDisconnect
                if stopping():
                    raise Unavailable("this server is about to stop; send the request again once it is back")
                result = await run_in_threadpool(next, steps)
            if result is not None:
                return result
    finally:
        gone.cancel()


async def left(request: Request) -> None:
    """Wait until the caller of a request whose body has been read closes the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def gone(request: Request) -> None:
    """Wait as `left` does, and then raise.

    Raises:
        ClientDisconnect: the caller closed the connection.
    """
    await left(request)
    raise ClientDisconnect
