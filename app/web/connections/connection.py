"""One connection of a caller: read by `Heads`, bounded in time and counted by `Callers`."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from app.web.answers.problems import RETRY_SECONDS, STOPPING, problem_response
from app.web.connections.callers import Callers, Late, Waits
from app.web.connections.cycle import DISCARDS
from app.web.connections.heads import Heads
from app.web.middleware.gate import OPEN_PATHS
from app.web.middleware.request_log import NO_ROUTE, Answered, RequestLog

LAST_BODY_SECONDS = 2.0
"""How long a body may still arrive when the server stops."""

_AGAIN = {"retry-after": str(RETRY_SECONDS)}
_LATE_HEAD = "the request line and the headers did not arrive in time; send them at once"
_SLOW_BODY = "the body of the request arrived more slowly than this server waits for it; send it again"
_FULL = problem_response(
    503,
    "too-many-connections",
    "as many connections are open as this server has room for; send the request again in a moment",
    headers=_AGAIN | {"connection": "close"},
)


class State(ServerState):
    """What all connections of a server know.

    Args:
        callers: all of them.
        root_path: the path below which the service may be asked for.
        answered: logs and counts what is refused.
    """

    def __init__(self, callers: Callers, root_path: str, answered: Answered) -> None:
        super().__init__()
        self.callers, self.answered = callers, answered
        self.full = RequestLog(_FULL, answered, NO_ROUTE)
        self.probes = frozenset(f"{root}{path}".encode() for path in OPEN_PATHS for root in ("", root_path))


class Connection(Heads):
    """Reads requests, and says at any time what it waits for."""

    heads = 0
    """Requests whose heads have arrived whole."""
    resumed = 0
    """How often its caller has taken what was written, after there was too much of it."""
    head_bytes = 0
    """Of a long head that is not whole."""
    surplus = False
    """Whether it is one more than there may be: then it is answered where it is a probe."""

    def __init__(
        self,
        config: Config,
        server_state: State,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._callers, self._probes = server_state.callers, server_state.probes
        self._full, self.answered = server_state.full, server_state.answered
        self.seen = self._callers.first_look()

    @property
    def address(self) -> str:
        """That of the caller; empty where there is none."""
        return self.client[0] if self.client else ""

    @property
    def unsent(self) -> int:
        """Bytes that were written, and that the caller does not take yet."""
        return self.transport.get_write_buffer_size()

    @property
    def waits(self) -> Waits:
        """What this server waits for."""
        cycle = self.cycle
        if self.transport.is_closing():
            return Waits.CLOSING
        if cycle is None or cycle.response_complete:
            # a body that goes on behind its answer is dropped, and is no request
            return Waits.HEAD if cycle is None or self._unfinished or cycle.more_body else Waits.NEXT
        if cycle.more_body and not self.flow.read_paused and not cycle.waiting_for_100_continue:
            return Waits.BODY
        return Waits.ANSWER

    @property
    def rests(self) -> bool:
        """Whether nobody would lose an answer by its end."""
        cycle = self.cycle
        return cycle is None or cycle.response_complete or DISCARDS in cycle.scope

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin."""
        super().connection_made(transport)
        self._callers.begin(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of what has ended."""
        self._callers.end(self)
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        """Take note that the caller has taken what was written."""
        self.resumed += 1
        super().resume_writing()

    def on_headers_complete(self) -> None:
        """Begin to answer a request."""
        if not self.heads:
            self._callers.hear(self)
        if self.head_bytes:
            self._callers.hold_head(self, 0)
        self.heads += 1
        if self.surplus:
            answered = self._callers.admit(self) or self.url.partition(b"?")[0] in self._probes
            self.app = self.config.loaded_app if answered else self._full
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request, if one has come; who sends none is seen by `Callers`, without a timer."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    def close(self) -> None:
        """End it, which waits for its next request."""
        self.transport.close()

    def _grow(self) -> None:
        super()._grow()
        self._callers.hold_head(self, self._unfinished)

    def end(self, late: Late | None) -> None:
        """End it: because its caller was late with something, or to make room."""
        if late is Late.HEAD and self._unfinished:
            self.refuse(HTTPStatus.REQUEST_TIMEOUT, "request-timeout", _LATE_HEAD)
        elif late is Late.BODY:
            self.refuse(HTTPStatus.REQUEST_TIMEOUT, "request-timeout", _SLOW_BODY)
        else:
            self.transport.abort()

    def shutdown(self) -> None:
        """Read no more requests, and end once what has begun is answered."""
        super().shutdown()
        if self.waits is Waits.BODY:
            self.loop.call_later(LAST_BODY_SECONDS, self._stop)

    def _stop(self) -> None:
        if self.waits is Waits.BODY:
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", STOPPING, _AGAIN)
