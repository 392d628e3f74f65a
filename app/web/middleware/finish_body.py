"""Reads what is left of a request body before the answer goes out."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.web.middleware.headers import received

DISCARD_BYTES = 16 * 1024 * 1024
DISCARD_SECONDS = 5.0


class FinishBody:
    """ASGI middleware: read what is left of a request body before the answer goes out.

    A server that answers and closes while the client still sends makes the system reset the
    connection, and the client loses the answer that says what was wrong with its upload.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = received(scope)
        if headers.get(b"content-length", b"0") == b"0" and b"transfer-encoding" not in headers:
            await self.app(scope, receive, send)
            return
        body = _Body(receive)
        # A client that waits for leave to send has not sent anything yet.
        waits = headers.get(b"expect", b"").lower() == b"100-continue"

        async def finish_and_send(message: Message) -> None:
            unread = not body.ended and message["type"] == "http.response.start"
            if unread and (body.asked or not waits):
                await body.discard()
            await send(message)

        await self.app(scope, body.receive, finish_and_send)


class _Body:
    """A receive channel that knows whether the body has ended."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.asked = False
        self.ended = False

    async def receive(self) -> Message:
        self.asked = True
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            self.ended = True
        return message

    async def discard(self) -> None:
        discarded = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(DISCARD_SECONDS):
                while not self.ended and discarded < DISCARD_BYTES:
                    discarded += len((await self.receive()).get("body", b""))
