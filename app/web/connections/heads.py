"""Heads of requests: how large they may be, and which offers in them are not taken."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

import httptools
from starlette.types import Message, Scope
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from app.web.answers.problems import ProblemResponse, problem
from app.web.bodies.scopes import REFUSED
from app.web.bodies.scopes import REQUEST_ID as ID
from app.web.connections.cycle import Cycle
from app.web.middleware.headers import complete
from app.web.middleware.request_log import Answered, new_request_id

MOST_HEAD_BYTES = 64 * 1024
SHORT_HEAD_BYTES = 8 * 1024
"""Nearly all heads are shorter."""
_TOO_LARGE = f"the request line and the headers are longer than {MOST_HEAD_BYTES} bytes together"
_UNKNOWN_METHOD = (
    "what was sent does not begin with a method of HTTP, such as GET or POST, in capitals; this server speaks HTTP/1.1 "
    "without TLS"
)
_MALFORMED = (
    "what was sent is no request of HTTP/1.1: its first line, a header or a chunk of its body cannot be read"
)


_ASGI: Any = {"version": "3.0", "spec_version": "2.3"}


class _TooLong(Exception):
    """A head that has arrived whole is longer than it may be."""


class Heads(HttpToolsProtocol):
    """Refuses a head, or what follows a body in chunks, that has no end: it would be kept in memory whole.

    Who offers to go on in another protocol (`Upgrade: h2c`, as Java's client does with each first request) is
    answered as if it did not (RFC 9110, section 7.8); httptools takes what follows such a head for no body.
    """

    answered: Answered
    """Logs and counts what is refused."""
    received = 0
    """Bytes."""
    _unfinished = 0
    _read_url = b""
    """What the last request asked for: most connections ask for the same again."""
    _target = ("", b"", b"")
    """The same, read."""

    def data_received(self, data: bytes) -> None:
        """Read what has come."""
        self._unfinished += len(data)
        self.received += len(data)
        try:
            self._read(data)
        except httptools.HttpParserInvalidMethodError:
            self.refuse(HTTPStatus.NOT_IMPLEMENTED, "unknown-method", _UNKNOWN_METHOD)
        except httptools.HttpParserError as error:
            if isinstance(error.__context__, _TooLong):
                self._refuse_head()
            else:
                self.refuse(HTTPStatus.BAD_REQUEST, "malformed-request", _MALFORMED)
        if self._unfinished > SHORT_HEAD_BYTES and not self.transport.is_closing():
            self._grow()

    def _grow(self) -> None:
        """Take note that a head has become longer than most."""
        if self._unfinished > MOST_HEAD_BYTES:
            self._refuse_head()

    def _refuse_head(self) -> None:
        self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "head-too-large", _TOO_LARGE)

    def refuse(
        self, status: HTTPStatus, code: str, detail: str, headers: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Answer what cannot be read whole, unless that is due to what came before, and read no more."""
        before = self.cycle
        in_body = before is not None and before.more_body and not before.response_started
        if in_body:
            scope: Scope = before.scope  # type: ignore[assignment]
            scope[REFUSED] = status, code
            self.transport.write(_refusal(status, code, detail, headers, scope.get(ID) or new_request_id()))
            # what has begun with the body ends, and writes no second answer
            before.disconnected = True
            before.message_event.set()
        elif before is None or before.response_complete:
            request_id = new_request_id()
            self.transport.write(_refusal(status, code, detail, headers, request_id))
            self.answered.note_unread(self.client[0] if self.client else None, status, code, request_id)
        self.transport.close()

    def _read(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            # Once more from the end of the head, with a parser to which only the length of the body is said.
            again = _Again(self)
            self.parser = httptools.HttpRequestParser(again)
            self.cycle.more_body = True
            self.cycle.message_event.clear()
            length = [
                b"%b: %b\r\n" % header
                for header in self.headers
                if header[0] in (b"content-length", b"transfer-encoding")
            ]
            self.parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % b"".join(length))
            again.is_known = False
            self._read(data[offer.args[0] :])

    def on_message_begin(self) -> None:
        """Begin to read a head."""
        self.url, self.headers, self.expect_100_continue = b"", [], False

    def on_headers_complete(self) -> None:
        """Begin to answer a request, or leave it until those before it are answered."""
        # what arrives in one piece has been read before anybody counts it
        if self._unfinished > MOST_HEAD_BYTES and self._head_bytes() > MOST_HEAD_BYTES:
            raise _TooLong
        self._unfinished = 0
        parser, before = self.parser, self.cycle
        version = parser.get_http_version()
        if self.url != self._read_url:
            self._target = _target_of(self.url)
            self._read_url = self.url
        path, raw_path, query = self._target
        self.scope = {
            "type": "http",
            "asgi": _ASGI,
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,  # type: ignore[typeddict-item]
            "method": parser.get_method().decode("ascii"),
            "root_path": "",
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": self.headers,
        }
        self.cycle = Cycle(self, version != "1.0" and parser.should_keep_alive())
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        # it takes itself off again: a callback of the loop for that is a twentieth of all the rest
        self.tasks.add(self.loop.create_task(cycle.run_asgi(app)))

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + len(": \r\n") for name, value in self.headers)

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._unfinished = 0
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        """Take note that a request is whole."""
        self._unfinished = 0
        cycle = self.cycle
        if not cycle.response_complete:
            cycle.more_body = False
            cycle.message_event.set()


class _Again:
    """Hears what is read after a head that is said once more, and nothing of that head.

    Attributes:
        is_known: whether what is read has been heard before.
    """

    def __init__(self, connection: Heads) -> None:
        self.is_known = True
        self.on_body = connection.on_body
        self.on_message_complete = connection.on_message_complete
        self._connection = connection

    def on_message_begin(self) -> None:
        if not self.is_known:
            self._connection.on_message_begin()

    def on_url(self, url: bytes) -> None:
        if not self.is_known:
            self._connection.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.is_known:
            self._connection.on_header(name, value)

    def on_headers_complete(self) -> None:
        if not self.is_known:
            self._connection.on_headers_complete()


def _target_of(url: bytes) -> tuple[str, bytes, bytes]:
    """Return the path that is asked for, as text and as it was sent, and the query."""
    read = httptools.parse_url(url)
    path = read.path.decode("ascii")
    return unquote(path) if "%" in path else path, read.path, read.query or b""


def _refusal(
    status: HTTPStatus, code: str, detail: str, headers: Mapping[str, str], request_id: str
) -> bytes:
    body = json.dumps(problem(status, code, detail)).encode()
    said = {
        "content-type": ProblemResponse.media_type,
        "content-length": str(len(body)),
        "connection": "close",
        **headers,
    }
    message: Message = {"headers": [(name.encode(), value.encode()) for name, value in said.items()]}
    complete(message, {"path": ""}, request_id)
    lines = [b"%b: %b\r\n" % header for header in message["headers"]]
    return STATUS_LINE[status] + b"".join(lines) + b"\r\n" + body
