"""What is computed for a request: in its turn, and only as long as its caller is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

from starlette.requests import ClientDisconnect, Request

from app.errors import Unavailable
from app.services import Services
from app.serving.computing import CallerLeft
from app.web.answers.problems import STOPPING

P = ParamSpec("P")
T = TypeVar("T")


async def finish(request: Request, services: Services, steps: Iterator[T | None]) -> T:
    """Run steps one after the other, each in a thread and in its turn, until one gives a result.

    Between two steps others get their turn, and nothing more is computed for a caller who has gone.

    Args:
        request: whose body has been read.
        services: bound how many steps of all callers run at the same time.
        steps: each gives None, the last one the result.

    Raises:
        ClientDisconnect: the caller closed the connection.
        Unavailable: too many others wait, or the server is about to stop.
    """
    leaving = asyncio.ensure_future(left(request))

    def step() -> T | None:
        if services.draining:
            raise Unavailable(STOPPING)
        return next(steps)

    try:
        while True:
            result = await services.computing.run(step, leaving)
            if result is not None:
                return result
    except CallerLeft:
        raise ClientDisconnect from None
    finally:
        leaving.cancel()


async def compute(
    request: Request, services: Services, work: Callable[P, T], *args: P.args, **named: P.kwargs
) -> T:
    """Call a function as `finish` takes a step, and return what it returns; whatever decodes or draws runs here."""

    def steps() -> Iterator[T | None]:
        yield work(*args, **named)

    return await finish(request, services, steps())


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
