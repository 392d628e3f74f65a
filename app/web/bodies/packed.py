"""Bodies that may be compressed, bounded by what they unpack to."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable
from functools import partial

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from app.errors import Malformed, Unsupported
from app.web.bodies.limits import (
    PLAIN,
    SMALL_BYTES,
    check_declared,
    next_raw_piece,
    read_raw_body,
    too_large,
)

_STEP = 1024 * 1024
"""Bytes that are unpacked at a time: none of them is without being counted for long."""

_GZIP, _ZLIB, _RAW = 31, 15, -15
"""What zlib calls the heads of compressed data (RFC 1952, RFC 1950, and none)."""

_HEADS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _ZLIB}


def read_packed_body(
    request: Request, encoding: str, limit: int, arrived: Callable[[int], None]
) -> Awaitable[bytes]:
    """Read a whole body into memory, unpacked if it is compressed by gzip or deflate.

    Args:
        request: has it.
        encoding: how it is encoded, see `content_encoding`.
        limit: the most bytes that are read, and that come out.
        arrived: called with the number of bytes of each piece that came out, and may refuse it.

    Raises:
        TooLarge: it is longer, as it is sent or unpacked.
        Unsupported: it is encoded in another way.
        Malformed: it is not compressed as its header says, or not whole.
    """
    read = read_raw_body if encoding == PLAIN else partial(_unpacked, encoding)
    return read(request, limit, arrived)


async def _unpacked(encoding: str, request: Request, limit: int, arrived: Callable[[int], None]) -> bytes:
    if encoding not in _HEADS:
        detail, hint = f"{encoding[:100]} is not taken", "compress by gzip or deflate, or not at all"
        raise Unsupported.at("Content-Encoding", detail, hint, parameter=True)
    check_declared(request, limit)
    head = _HEADS[encoding]
    unpacker = None
    whole = bytearray()
    received = 0
    while not request._stream_consumed:
        waiting = await next_raw_piece(request)
        received += len(waiting)
        if received > limit:
            raise too_large(limit)
        if unpacker is None and waiting:
            # some clients send deflate without the head that RFC 9110 asks for: its first byte says the method, 8
            bare = head == _ZLIB and waiting[0] & 0x0F != 8
            unpacker = zlib.decompressobj(_RAW if bare else head)
        full = False  # whether more may come of what was taken already
        while unpacker is not None and (waiting or full):
            if unpacker.eof:
                raise _damaged(encoding, "something lies behind its end")
            most = min(SMALL_BYTES if not whole else _STEP, limit - len(whole) + 1)
            try:
                if whole:
                    out = await run_in_threadpool(unpacker.decompress, waiting, most)
                else:
                    out = unpacker.decompress(waiting, most)
            except zlib.error as error:
                raise _damaged(encoding, str(error)) from None
            arrived(len(out))
            whole += out
            if len(whole) > limit:
                raise too_large(limit)
            waiting = unpacker.unconsumed_tail or unpacker.unused_data
            full = len(out) == most and not unpacker.eof
    if unpacker is None or not unpacker.eof:
        raise _damaged(encoding, "it is not whole")
    return bytes(whole)


def _damaged(encoding: str, what: str) -> Malformed:
    return Malformed.at("Content-Encoding", f"the body cannot be read as {encoding}: {what}", parameter=True)
