"""A span for each request, where traces are wanted."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.tracing.tracing import Tracing, end_request, traceparent_of
from app.web.bodies.scopes import REFUSED, TRACEPARENT, received


class Traces:
    """ASGI middleware around the one that logs requests: when that is done, it is known which route answered."""

    def __init__(self, app: ASGIApp, tracing: Tracing) -> None:
        self.app = app
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status: int | None = None

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        method: str = scope["method"]
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in received(scope).items()}
        with self._tracing.request(method, headers) as span:
            scope[TRACEPARENT] = traceparent_of(span)
            try:
                await self.app(scope, receive, send_and_note)
            finally:
                route = scope.get("route")
                status, _ = scope.get(REFUSED, (status, None))
                end_request(span, method, None if route is None else getattr(route, "path", None), status)
