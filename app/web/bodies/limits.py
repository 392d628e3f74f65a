"""Bounds on request bodies, applied as the bytes arrive."""

from __future__ import annotations

from starlette.requests import Request

from app.errors import TooLarge


async def read_body(request: Request, limit: int) -> bytes:
    """Read a whole body into memory, at most `limit` bytes of it.

    Raises:
        TooLarge: it is longer, by its Content-Length or by what arrives.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise _too_large(limit)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the request body is larger than {limit} bytes, the most that this call takes")
