"""Heads of requests: how large they may be, and which offers in them are not taken."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Literal

from app.log import Log
from app.web.answers.problems import ProblemResponse, problem

log = Log(__name__)

MOST_HEAD_BYTES = 64 * 1024
"""What h11 takes, too."""
_TOO_LARGE = f"the request line and the headers are longer than {MOST_HEAD_BYTES} bytes together"
_UNKNOWN_METHOD = (
    "what was sent does not begin with a method of HTTP, such as GET or POST, in capitals; this server speaks HTTP/1.1 "
    "without TLS"
)
_MALFORMED = (
    "what was sent is no request of HTTP/1.1: its first line, a header or a chunk of its body cannot be read"
)


def protocol() -> type[asyncio.Protocol] | Literal["h11"]:
    """Return what uvicorn reads HTTP with: httptools where it is installed, which bounds no head by itself."""
    try:
        import httptools  # noqa: PLC0415 - it is not installed everywhere
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol  # noqa: PLC0415 - as above
    except ImportError:
        return "h11"

    class Heads(HttpToolsProtocol):
        """Refuses a head, or what follows a body in chunks, that has no end: it would be kept in memory whole.

        Who offers to go on in another protocol (`Upgrade: h2c`, as Java's client does with each first request) is
        answered as if it did not (RFC 9110, section 7.8); httptools takes what follows such a head for no body.
        """

        _unfinished = 0
        _known = False

        def data_received(self, data: bytes) -> None:
            self._unset_keepalive_if_required()
            self._unfinished += len(data)
            try:
                self._read(data)
            except httptools.HttpParserInvalidMethodError:
                self._refuse(HTTPStatus.NOT_IMPLEMENTED, "unknown-method", _UNKNOWN_METHOD)
            except httptools.HttpParserError:
                self._refuse(HTTPStatus.BAD_REQUEST, "malformed-request", _MALFORMED)
            if self._unfinished > MOST_HEAD_BYTES and not self.transport.is_closing():
                log.warning("head_too_large", bytes=self._unfinished)
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "head-too-large", _TOO_LARGE)

        def _refuse(self, status: HTTPStatus, code: str, detail: str) -> None:
            """Answer what cannot be read, unless that is due to what came before, and read no more."""
            before = self.cycle
            in_body = before is not None and before.more_body and not before.response_started
            if before is None or before.response_complete or in_body:
                self.transport.write(_refusal(status, code, detail))
            self.transport.close()

        def _read(self, data: bytes) -> None:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                # Once more from the end of the head, with a parser to which only the length of the body is said.
                self.parser = httptools.HttpRequestParser(self)
                self.cycle.more_body = True
                self.cycle.message_event.clear()
                length = [
                    b"%b: %b\r\n" % header
                    for header in self.headers
                    if header[0] in (b"content-length", b"transfer-encoding")
                ]
                self._known = True
                self.parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % b"".join(length))
                self._known = False
                self._read(data[offer.args[0] :])

        def on_message_begin(self) -> None:
            if not self._known:
                super().on_message_begin()

        def on_url(self, url: bytes) -> None:
            if not self._known:
                super().on_url(url)

        def on_header(self, name: bytes, value: bytes) -> None:
            if not self._known:
                super().on_header(name, value)

        def on_headers_complete(self) -> None:
            self._unfinished = 0
            if not self._known:
                super().on_headers_complete()

        def on_body(self, body: bytes) -> None:
            self._unfinished = 0
            super().on_body(body)

        def on_message_complete(self) -> None:
            self._unfinished = 0
            super().on_message_complete()

    return Heads


def _refusal(status: HTTPStatus, code: str, detail: str) -> bytes:
    body = json.dumps(problem(status, code, detail)).encode()
    head = (
        f"HTTP/1.1 {status} {status.phrase}\r\ncontent-type: {ProblemResponse.media_type}\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body
