"""Bounds on request bodies, applied as the bytes arrive."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from app.errors import TooLarge, Unsupported
from app.web.bodies.json import parsed_bytes
from app.web.bodies.scopes import received

T = TypeVar("T")

SMALL_BYTES = 16 * 1024
"""Bodies up to here are made sense of at once: that takes no longer than handing them to a thread."""

PLAIN = "identity"
"""The encoding of a body that is none."""


async def off_the_loop(size: int, work: Callable[[], T]) -> T:
    """Parse, validate or decode a body of so many bytes, a large one in a thread: all other requests wait meanwhile."""
    return work() if size <= SMALL_BYTES else await run_in_threadpool(work)


async def make_sense(body: bytes, arrived: Callable[[int], None], work: Callable[[], T]) -> T:
    """Parse a JSON body and do with it what else there is to do, once there is room for what it becomes.

    Args:
        body: the bytes.
        arrived: called with the memory that they take as text and values, and may refuse it.
        work: parses it.
    """
    if len(body) <= SMALL_BYTES:
        arrived(parsed_bytes(body))
        return work()
    arrived(await run_in_threadpool(parsed_bytes, body))
    return await run_in_threadpool(work)


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
        Unsupported: it is compressed, or encoded in another way.
    """
    check_plain(request)
    return await read_raw_body(request, limit, arrived)


async def read_raw_body(request: Request, limit: int, arrived: Callable[[int], None]) -> bytes:
    """Do what `read_body` does for a body of which it is known how it is encoded."""
    check_declared(request, limit)
    body = await next_raw_piece(request)
    arrived(len(body))
    if request._stream_consumed and len(body) <= limit:
        return body  # most bodies come in one piece
    whole = bytearray(body)
    while len(whole) <= limit and not request._stream_consumed:
        piece = await next_raw_piece(request)
        arrived(len(piece))
        whole += piece
    if len(whole) > limit:
        raise too_large(limit)
    return bytes(whole)


async def next_piece(request: Request) -> bytes:
    """Return what comes next of a body, perhaps nothing; `_stream_consumed` tells whether that was all.

    Raises:
        Unsupported: it is compressed, or encoded in another way.
        ClientDisconnect: the caller has gone.
    """
    check_plain(request)
    return await next_raw_piece(request)


def check_plain(request: Request) -> None:
    """Refuse a body that is compressed.

    Raises:
        Unsupported: it is, or is encoded in another way.
    """
    if content_encoding(request) != PLAIN:
        hint = "send the body as it is, without this header"
        detail = f"{request.headers['content-encoding']} is not taken"
        raise Unsupported.at("Content-Encoding", detail, hint, parameter=True)


def content_encoding(request: Request) -> str:
    """Return how a body is encoded, in lower case; `PLAIN` where it is as it is."""
    said = received(request.scope).get(b"content-encoding")
    return PLAIN if said is None else said.decode("latin-1").strip().lower()


async def next_raw_piece(request: Request) -> bytes:
    """Do what `next_piece` does for a body that may be compressed: it is returned as it comes."""
    if request._stream_consumed:
        if not hasattr(request, "_body"):
            raise RuntimeError("the body was read before, piece by piece")
        whole: bytes = request._body
        return whole
    message = await request.receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    request._stream_consumed = not message.get("more_body", False)
    piece: bytes = message.get("body", b"")
    return piece


def check_declared(request: Request, limit: int) -> None:
    """Refuse a body that is too large by its Content-Length.

    Raises:
        TooLarge: it is.
    """
    declared = received(request.scope).get(b"content-length", b"")
    if declared.isdigit() and int(declared) > limit:
        raise too_large(limit)


def declared_bytes(request: Request, most: int) -> int | None:
    """Return how many bytes of a body will be read, by its Content-Length; None where nobody knows."""
    declared = received(request.scope).get(b"content-length", b"")
    return min(int(declared), most) if declared.isdigit() else None


def too_large(limit: int) -> TooLarge:
    """Make the error for a body of more than `limit` bytes."""
    return TooLarge(f"the request body is larger than {limit} bytes, the most that this call takes")
