"""Bytes of connections, as the whole application answers them."""

from __future__ import annotations

import asyncio
import atexit
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import cache
from typing import Any

from uvicorn.config import Config

from app.main import create_app
from app.settings import Settings
from app.web.connections.callers import Callers
from app.web.connections.connection import Connection, State
from tests.fuzz.readers.scratch import folder
from tests.fuzz.readers.target import Target

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_UNDERSTOOD = {b"501", b"503"}
"""Of a method that there is not, and of what is not there yet."""
_TURNS = 2000
"""Of the event loop that an answer may take; work in threads takes longer, and is waited for."""


class _Wire(asyncio.Transport):
    """What a connection writes to."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self._closing = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("127.0.0.1", 40_000), "sockname": ("127.0.0.1", 8000)}.get(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def writelines(self, list_of_data: Any) -> None:
        self.written += b"".join(list_of_data)

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True

    abort = close

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...


class _Server:
    """The application, started once and ended with its process."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        settings = Settings(data_dir=folder() / "data")
        app = create_app(settings)
        self._stack = AsyncExitStack()
        self.loop.run_until_complete(self._stack.enter_async_context(app.router.lifespan_context(app)))
        self._config = Config(
            app, http=Connection, ws="none", lifespan="off", log_config=None, access_log=False
        )
        self._config.load()
        self._state = State(Callers(settings), "", app.state.answered)
        self.errors: list[str] = []
        atexit.register(self._close)
        self.loop.set_exception_handler(lambda loop, context: self.errors.append(str(context)))

    def _close(self) -> None:
        self.loop.run_until_complete(self._stack.aclose())
        self.loop.close()

    async def answer(self, data: bytes) -> bytes:
        """Let a connection hear these bytes, in pieces, and then end."""
        wire, connection = _Wire(), Connection(self._config, self._state, {}, self.loop)
        connection.connection_made(wire)
        cut = len(data) // 2
        for piece in (data[:cut], data[cut:]):
            if piece and not wire.is_closing():
                connection.data_received(piece)
                await self._rest(connection)
        connection.connection_lost(None)
        while self._state.tasks:
            await asyncio.wait(set(self._state.tasks))
        return bytes(wire.written)

    async def _rest(self, connection: Connection) -> None:
        """Wait until what has begun has ended, or waits for more."""
        for turn in range(_TURNS):
            cycle = connection.cycle
            if cycle is None or cycle.response_complete or (cycle.more_body and turn > 10):
                return
            await asyncio.sleep(0 if turn < 100 else 0.001)


_server = cache(_Server)


def _heads(data: bytes) -> None:
    server = _server()
    answered = server.loop.run_until_complete(server.answer(data))
    assert not server.errors, server.errors.pop()
    bad = [status for status in _STATUS.findall(answered) if status >= b"500" and status not in _UNDERSTOOD]
    assert not bad, answered[:1000]


def _requests() -> Iterator[bytes]:
    host = b"Host: localhost\r\n"
    for line in (
        b"GET /v1/version HTTP/1.1",
        b"GET /v1/models?limit=2&name=%C3%A9 HTTP/1.1",
        b"HEAD /v1/datasets/digits HTTP/1.1",
        b"OPTIONS /v1/catalog/layers HTTP/1.1",
        b"GET /v2/models/model_example HTTP/1.1",
        b"GET /v1/datasets/digits/images/0?scale=2 HTTP/1.1",
    ):
        yield line + b"\r\n" + host + b"\r\n"
    more = b"Accept: image/png;q=0.5, */*\r\nOrigin: http://localhost\r\nAuthorization: Basic Og==\r\n"
    yield b"GET /v1/models/model_example/diagram HTTP/1.1\r\n" + host + more + b'If-None-Match: W/"x"\r\n\r\n'
    yield (
        b"GET /v1/training-jobs HTTP/1.1\r\n" + host + b"X-Forwarded-For: 1.2.3.4\r\nRange: bytes=0-1\r\n\r\n"
    )
    body = b'{"input_shape": [4, 4, 1], "layers": [{"type": "flatten"}]}'
    kind = b"Content-Type: application/json\r\nIdempotency-Key: a\r\n"
    post = b"POST /v1/architectures/summary HTTP/1.1\r\n" + host + kind
    yield post + b"Content-Length: %d\r\n\r\n" % len(body) + body
    yield post + b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (
        len(body),
        body,
    )
    yield (
        post
        + b"Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\n{}GET /livez HTTP/1.0\r\n\r\n"
    )
    binary = b"Content-Type: application/octet-stream\r\nInference-Header-Content-Length: 2\r\nContent-Length: 3\r\n"
    yield b"POST /v2/models/model_example/infer HTTP/1.1\r\n" + host + binary + b"\r\n{}x"


TARGETS = (Target("heads.http", _heads, _requests),)
