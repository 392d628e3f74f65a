"""Answers that are compressed for clients which ask for that."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from starlette.requests import Request

from app.web.answers.negotiation import preferred_encoding
from app.web.bodies.limits import off_the_loop

_WORTH_BYTES = 1024
"""Shorter answers fit into one packet of the network as they are."""
_SAMPLE_BYTES = 64 * 1024
"""Of the end of a longer one, which tell whether all of it is worth it: numbers lie behind the JSON."""
_WORTH = 0.8
"""How long the compressed answer may be, of what it was."""
_LEVEL = 1
"""Numbers are hardly smaller by more effort, and it takes several times as long."""
_HEADS: Mapping[str, int] = {"gzip": 31, "deflate": 15}
"""What zlib calls the heads of compressed data (RFC 1952 and 1950), by the name of the encoding (RFC 9110, 8.4.1)."""


async def packed(request: Request, body: bytes) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Return the body of an answer as the header Accept-Encoding asks for it, and the headers that say so.

    What is short, or hardly shorter when it is compressed, stays as it is.
    """
    if len(body) < _WORTH_BYTES or "accept-encoding" not in request.headers:
        return body, []
    encoding = preferred_encoding(request, tuple(_HEADS))
    if encoding is None:
        return body, []
    smaller = await off_the_loop(len(body), lambda: _smaller(body, _HEADS[encoding]))
    return (body, []) if smaller is None else (smaller, [(b"content-encoding", encoding.encode())])


def _smaller(body: bytes, head: int) -> bytes | None:
    """Return a body compressed, None where that gains little: many clients ask for it who do not know what comes."""
    for part in (body[-_SAMPLE_BYTES:], body) if len(body) > _SAMPLE_BYTES else (body,):
        found = zlib.compress(part, _LEVEL, head)
        if len(found) > _WORTH * len(part):
            return None
    return found
