"""Routes whose modules are imported when the first request comes to them."""

from __future__ import annotations

import importlib
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.convertors import StringConvertor
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from app.web.bodies.scopes import path_of

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
        self._below = f"{prefix}/"
        self._calls: dict[str, _Calls] = {}

    def load(self) -> list[APIRoute]:
        """Import all modules, and return their routes. Takes long: not for the event loop."""
        return [route for module in self.modules for route in self._load(module).routes]

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Take what lies under the path, whether there is anything or not."""
        takes = scope["type"] == "http" and self.takes(path_of(scope))
        return (Match.FULL if takes else Match.NONE), {}

    def takes(self, path: str) -> bool:
        """Tell whether a path lies here, whether there is anything or not."""
        return path.startswith(self._below) or path == self.prefix

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request by the first module with a route for it; those behind that one are not imported.

        Raises:
            HTTPException: 404 where there is nothing; 405 where there is something, for other methods.
        """
        route, names, others = await self.find(path_of(scope), scope["method"])
        if route is not None:
            scope["path_params"] = names
            scope["endpoint"] = route.endpoint
            scope["route"] = route
            await route.app(scope, receive, send)
            return
        if others:
            raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": ", ".join(sorted(others))})
        raise HTTPException(HTTPStatus.NOT_FOUND)

    async def find(self, path: str, method: str) -> tuple[APIRoute | None, dict[str, str], set[str]]:
        """Return the route for a path and what the path names for it, or without one for which methods there is one."""
        others: set[str] = set()
        for module in self.modules:
            calls = self._calls.get(module)
            if calls is None:
                calls = await run_in_threadpool(self._load, module)
            for pattern, methods in calls.by_depth.get(path.count("/"), ()):
                found = pattern.match(path)
                if found is None:
                    continue
                route = methods.get(method)
                if route is not None:
                    return route, found.groupdict(), others
                others.update(methods)
        return None, {}, others

    def _load(self, module: str) -> _Calls:
        # one at a time: modules that import one another must not be begun by two threads
        with _importing:
            calls = _Calls.of(importlib.import_module(f"{PACKAGE}.{module}").router)
        self._calls[module] = calls
        return calls


@dataclass(frozen=True)
class _Calls:
    """The routes of one module, so that a request is compared with few of them, and once.

    Attributes:
        routes: all of them, in order.
        by_depth: by the number of `/` in a path, the patterns of paths, and for each the routes by method.
    """

    routes: tuple[APIRoute, ...]
    by_depth: Mapping[int, Sequence[tuple[re.Pattern[str], Mapping[str, APIRoute]]]]

    @classmethod
    def of(cls, router: APIRouter) -> _Calls:
        """Sort the routes of a router: none of another router, and no parameter that a `/` may be in."""
        routes = []
        paths: dict[str, dict[str, APIRoute]] = {}
        for route in router.routes:
            if not isinstance(route, APIRoute) or any(
                not isinstance(convertor, StringConvertor) for convertor in route.param_convertors.values()
            ):
                raise TypeError(f"{route!r} is no route for which requests can be looked up by their depth")
            routes.append(route)
            for method in route.methods or ():
                paths.setdefault(route.path, {}).setdefault(method, route)
        by_depth: dict[int, list[tuple[re.Pattern[str], Mapping[str, APIRoute]]]] = {}
        for path, methods in paths.items():
            pattern = next(iter(methods.values())).path_regex
            by_depth.setdefault(path.count("/"), []).append((pattern, methods))
        return cls(tuple(routes), by_depth)
