"""The application as a server calls it: as few layers as there is work for."""

from __future__ import annotations

import re
from collections.abc import Awaitable

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import DiskFull
from app.files.faults import storage_fault
from app.web.bodies.scopes import path_of
from app.web.late_routes import LateRoutes


class Application(FastAPI):
    """FastAPI's routes and description, called without the layers of FastAPI and Starlette around them.

    Those make answers of errors (here `app.web.middleware.request_log` does, for all of them), close what routes have
    opened by `yield` (none does), bound bodies (`app.web.bodies.limits`) and measure.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if self.middleware_stack is None:
            self.middleware_stack = self.build_middleware_stack()
        scope["app"] = self
        await self.middleware_stack(scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        """Put our own layers around the routes; the one added last is the first to see a request."""
        late = [route for route in self.router.routes if isinstance(route, LateRoutes)]
        self._late = {route.prefix: route for route in late}
        self._prefixes = re.compile(f"({'|'.join(map(re.escape, self._late))})(?:/|\\Z)")
        app: ASGIApp = self._route
        for layer in self.user_middleware[::-1]:
            app = layer.cls(app, *layer.args, **layer.kwargs)
        return app

    def _route(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer by the route for a request."""
        answer = self._delete if scope.get("method") == "DELETE" else self._answer
        return answer(scope, receive, send)

    async def _delete(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that deletes, which may have the room that was kept back for it."""
        try:
            await self._answer(scope, receive, send)
        except Exception as error:
            if not isinstance(storage_fault(error), DiskFull):
                raise
            if not await run_in_threadpool(self.state.services.reserve.give_up):
                raise
            # it has no body, and nothing was changed
            await self._answer(scope, receive, send)

    async def find(self, path: str, method: str) -> tuple[APIRoute | None, dict[str, str]]:
        """Return the route of a resource that answers a path, and what the path names for it; None without one."""
        found = self._prefixes.match(path)
        if found is None:
            return None, {}
        route, names, _ = await self._late[found[1]].find(path, method)
        return route, names

    def _answer(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http":
            # most requests: FastAPI's router asks each route in turn, and notes what nobody reads
            found = self._prefixes.match(path_of(scope))
            if found is not None:
                return self._late[found[1]].handle(scope, receive, send)
        return self.router(scope, receive, send)
