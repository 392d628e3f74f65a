"""Answers whose bytes are all there when they begin: most of them."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from starlette.responses import Response

JSON = b"application/json"


class Whole(Response):
    """An answer with a body, given as it is sent: nothing of it has to be encoded or looked for first.

    Args:
        content: the body.
        kind: its media type.
        status: of the answer, one that has a body.
        headers: what else there is to say, names in lower case.
    """

    def __init__(
        self,
        content: bytes,
        kind: bytes = JSON,
        status: int = HTTPStatus.OK,
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        self.status_code, self.body, self.background = status, content, None
        self.raw_headers = [*headers, (b"content-length", b"%d" % len(content)), (b"content-type", kind)]
