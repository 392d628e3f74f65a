"""One request and its answer, as the application is called for them."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.types import Message, Scope
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

DISCARD_BYTES = 16 * 1024 * 1024
DISCARD_SECONDS = 5.0
DISCARDS = "convserve.discards"
"""The key in a scope that says that its answer is known, and the rest of its body of no use."""

_TOGETHER = 64 * 1024
"""Bytes of a body that are copied behind its head."""
_CONTROLS = bytes(byte for byte in (*range(0x20), 0x7F) if byte != ord("\t"))
"""None of them stands in a header (RFC 9110, section 5.5); each line ends with two."""


class Cycle(RequestResponseCycle):
    """Uvicorn's, which sends most answers as one piece, and reads what is left of a body before the answer goes out.

    A server that answers and closes while the client still sends makes the system reset the connection, and the client
    loses the answer that says what was wrong with its upload. A client that waits for leave to send, and has not got
    it, has not sent anything.
    """

    _head = b""
    """Of an answer whose length is known; it goes out with the body."""
    # how each begins
    access_log = disconnected = response_started = response_complete = False
    more_body = True
    chunked_encoding: bool | None = None
    expected_content_length = 0

    def __init__(self, connection: HttpToolsProtocol, keep_alive: bool) -> None:
        """Begin with a request whose head has been read.

        Args:
            connection: has read it.
            keep_alive: whether another may follow.
        """
        self.scope, self.keep_alive = connection.scope, keep_alive
        self.transport, self.flow = connection.transport, connection.flow
        self.logger, self.access_logger = connection.logger, connection.access_logger
        self.default_headers = connection.server_state.default_headers
        self.on_response = connection.on_response_complete
        self.waiting_for_100_continue = connection.expect_100_continue
        self.message_event = asyncio.Event()
        self.body = bytearray()
        self._running = connection.tasks

    async def run_asgi(self, app: ASGI3Application) -> None:
        """Answer it; the task of it is among those that run until then."""
        try:
            await super().run_asgi(app)
        finally:
            self._running.discard(asyncio.current_task())

    async def send(self, message: Message) -> None:  # type: ignore[override]
        """Send the start of the answer, or a part of its body."""
        if self.response_complete or (self.response_started and not self._head):
            await super().send(message)  # type: ignore[arg-type]
            return
        if not self.response_started:
            if self.disconnected:
                return
            if message["type"] != "http.response.start":
                raise RuntimeError(f"an answer does not begin with {message['type']}")
            if self.more_body and not self.waiting_for_100_continue:
                await self._discard()
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if not self.response_started:
            self._begin(message)
            return
        head, self._head = self._head, b""
        body: bytes = message.get("body", b"")
        if (
            len(body) > _TOGETHER
            or len(body) != self.expected_content_length
            or self.scope["method"] == "HEAD"
        ):
            self.transport.write(head)
            await super().send(message)  # type: ignore[arg-type]
            return
        self.transport.write(head + body)
        self.expected_content_length = 0
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

    def _begin(self, message: Message) -> None:
        """Write the head of the answer, and send it where nobody knows how long the body is: it may be long in coming.

        Raises:
            RuntimeError: a header would end its line, and begin another.
        """
        self.response_started = True
        self.waiting_for_100_continue = False
        status, closes = message["status"], False
        parts = [STATUS_LINE[status]]
        headers = [*self.default_headers, *message.get("headers", ())]
        for name, value in headers:
            if name == b"content-length":
                self.expected_content_length = int(value)
                self.chunked_encoding = False
            elif name == b"connection" and value.lower() == b"close":
                self.keep_alive, closes = False, True
            parts += name, b": ", value, b"\r\n"
        lines = 1 + len(headers)
        if not self.keep_alive and not closes:
            parts.append(b"connection: close\r\n")
            lines += 1
        if self.chunked_encoding is None and self.scope["method"] != "HEAD" and status not in (204, 304):
            self.chunked_encoding = True
            parts.append(b"transfer-encoding: chunked\r\n")
            lines += 1
        head = b"".join(parts)
        if len(head) - len(head.translate(None, _CONTROLS)) != 2 * lines:
            self.response_started = False
            raise RuntimeError("a header of the answer has characters that end its line")
        head += b"\r\n"
        if self.expected_content_length:
            self._head = head
        else:
            self.transport.write(head)

    async def _discard(self) -> None:
        scope: Scope = self.scope  # type: ignore[assignment]
        scope[DISCARDS] = True
        discarded = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(DISCARD_SECONDS):
                while self.more_body and not self.disconnected and discarded < DISCARD_BYTES:
                    message: Message = await self.receive()  # type: ignore[assignment]
                    discarded += len(message.get("body", b""))
