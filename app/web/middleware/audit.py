"""Who made, changed or deleted what: a line of the log for each such request, and for each that was refused."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from http import HTTPStatus
from typing import Any

from app.keys.callers import caller_of
from app.log import AUDIT, Log
from app.web.bodies.route import MADE, StrictRoute
from app.web.bodies.scopes import path_of

log = Log(AUDIT)

_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


def concerns(scope: Mapping[str, Any], status: int | None) -> bool:
    """Tell whether a request that has been answered is one that changes something, or was not allowed.

    Args:
        scope: of the request, whose method is no safe one, as it was left.
        status: of the answer; None where there was none.
    """
    route = scope.get("route")
    return status in _REFUSED or (isinstance(route, StrictRoute) and route.changes)


async def record(scope: MutableMapping[str, Any], status: int | None) -> None:
    """Write the line of a request that has been answered, and that `concerns` this log.

    Whatever its status: a call that was allowed and failed says so. There is neither query nor header in it.
    One that was refused before it came to its route is looked for among the routes now that it is answered.

    Args:
        scope: of the request, as it was left.
        status: of the answer; None where there was none.
    """
    is_refused = status in _REFUSED
    if scope.get("route") is None:
        _, scope["path_params"] = await scope["app"].find(path_of(scope), scope["method"])
    caller, client = caller_of(scope), scope.get("client")
    write = log.warning if is_refused else log.info
    write(
        "audit",
        key=caller.name if caller is not None else None,
        key_id=caller.key_id if caller is not None else None,
        client=client[0] if client else None,
        method=scope["method"],
        path=path_of(scope),
        status=status,
        id=_about(scope),
    )


def _about(scope: Mapping[str, Any]) -> str | None:
    """Return the id of what was made, or of what the address names."""
    made: str | None = scope.get(MADE)
    if made:
        return made.rpartition("/")[2]
    return "/".join(map(str, scope.get("path_params", {}).values())) or None
