"""HEAD is GET without a body, for every call that there is (RFC 9110, section 9.3.2)."""

from __future__ import annotations

from collections.abc import Awaitable

from starlette.types import ASGIApp, Receive, Scope, Send

from app.web.bodies.route import IS_HEAD


class Head:
    """ASGI middleware that has HEAD answered by the route for GET; the server sends no body for HEAD."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Handle one connection."""
        answer = self._head if scope["type"] == "http" and scope["method"] == "HEAD" else self.app
        return answer(scope, receive, send)

    async def _head(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A copy: the server's own still says HEAD, by which it knows to leave out the body.
        of_get = {**scope, "method": "GET", IS_HEAD: True}
        try:
            await self.app(of_get, receive, send)
        finally:
            scope["route"] = of_get.get("route")
