"""HEAD is GET without a body, for every call that there is (RFC 9110, section 9.3.2)."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from app.web.bodies.route import IS_HEAD


class Head:
    """ASGI middleware that has HEAD answered by the route for GET; the server sends no body for HEAD."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "http" and scope["method"] == "HEAD":
            # A copy: the server's own still says HEAD, by which it knows to leave out the body.
            scope = {**scope, "method": "GET", IS_HEAD: True}
        await self.app(scope, receive, send)
