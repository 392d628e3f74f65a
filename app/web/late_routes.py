"""Routes whose modules are imported when the first request comes to them."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator, Sequence

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

PACKAGE = "app.web.routes"

_importing = threading.Lock()


class LateRoutes(BaseRoute):
    """Everything under one path.

    Making a route means making the types of its parameters and of its answer: for all routes two seconds of every
    start, where most servers are asked for a few of them.

    Args:
        prefix: the path, such as `/v1/models`.
        modules: of `app.web.routes`; each has a `router`, all of whose paths begin so. The first that matches answers:
            what most servers are asked for comes first.
    """

    def __init__(self, prefix: str, modules: Sequence[str]) -> None:
        self.prefix = prefix
        self.modules = tuple(modules)
        self._routers: dict[str, APIRouter] = {}
        self._nothing = APIRouter(redirect_slashes=False)

    def load(self) -> list[BaseRoute]:
        """Import all modules, and return their routes. Takes long: not for the event loop."""
        return [route for module in self.modules for route in self._load(module).routes]

    def own_routes(self) -> Iterator[APIRoute]:
        """Return the routes as the modules made them; FastAPI wraps those of a router that is in another."""
        return _own_routes(self.load())

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Take what lies under the path, whether there is anything or not."""
        if scope["type"] == "http":
            path = scope["path"].removeprefix(scope.get("root_path", ""))
            if path == self.prefix or path.startswith(f"{self.prefix}/"):
                return Match.FULL, {}
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request by the first module with a route for it; those behind that one are not imported."""
        chosen, best = self._nothing, Match.NONE.value
        for module in self.modules:
            router = self._routers.get(module)
            if router is None:
                router = await run_in_threadpool(self._load, module)
            match = max(route.matches(scope)[0].value for route in router.routes)
            if match > best:
                chosen, best = router, match
            if best == Match.FULL.value:
                break
        await chosen(scope, receive, send)

    def _load(self, module: str) -> APIRouter:
        # one at a time: modules that import one another must not be begun by two threads
        with _importing:
            router: APIRouter = importlib.import_module(f"{PACKAGE}.{module}").router
        self._routers[module] = router
        return router


def _own_routes(routes: Sequence[BaseRoute]) -> Iterator[APIRoute]:
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        elif isinstance(inner := getattr(route, "original_router", None), APIRouter):
            yield from _own_routes(inner.routes)
