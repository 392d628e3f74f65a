"""Every call that the server answers, for tests of what holds for all of them."""

from __future__ import annotations

import re
from typing import NamedTuple

from app.main import RESOURCES
from app.scopes import Scope
from app.web.bodies.route import StrictRoute
from app.web.late_routes import LateRoutes
from app.web.middleware.gate import OPEN_PATHS


class Call(NamedTuple):
    """A route, with something in the place of its parameters that there is not."""

    method: str
    path: str
    url: str
    needs: Scope | None
    changes: bool


def calls() -> list[Call]:
    """Return all routes that need a key, whether they are documented or not."""
    found = []
    for prefix, modules in RESOURCES.items():
        for route in LateRoutes(prefix, modules).load():
            assert isinstance(route, StrictRoute), route.path
            url = re.sub(r"\{\w+\}", "nothing", route.path)
            found += [
                Call(method, route.path, url, route.needs, route.changes) for method in route.methods or ()
            ]
    return [call for call in found if call.path not in OPEN_PATHS]
