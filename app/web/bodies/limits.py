"""Bounds on request bodies, applied as the bytes arrive."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from app.errors import TooLarge

T = TypeVar("T")

SMALL_BYTES = 16 * 1024
"""Bodies up to here are made sense of at once: that takes no longer than handing them to a thread."""


async def off_the_loop(size: int, work: Callable[[], T]) -> T:
    """Parse, validate or decode a body of so many bytes, a large one in a thread: all other requests wait meanwhile."""
    return work() if size <= SMALL_BYTES else await run_in_threadpool(work)


def ignore(count: int) -> None:
    """Take no note of how many bytes have arrived."""


async def read_body(request: Request, limit: int, arrived: Callable[[int], None] = ignore) -> bytes:
    """Read a whole body into memory, at most `limit` bytes of it.

    Args:
        request: has it.
        limit: the most that is read.
        arrived: called with the number of bytes of each piece, and may refuse it.

    Raises:
        TooLarge: it is longer, by its Content-Length or by what arrives.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise _too_large(limit)
    body = bytearray()
    async for chunk in request.stream():
        arrived(len(chunk))
        body += chunk
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the request body is larger than {limit} bytes, the most that this call takes")
