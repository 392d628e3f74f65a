"""What is read off the scope of a request (ASGI) before its body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.types import Scope

FORWARDED_HOST = "convserve.forwarded_host"
"""The key in a scope of the name, as bytes, by which a trusted proxy was called; absent where none says so."""

TRACEPARENT = "convserve.traceparent"
"""Where in the scope of a request it is which span is its own, where there are spans."""

REQUEST_ID = "convserve.request_id"
"""The key in a scope of the id of its request."""

REFUSED = "convserve.refused"
"""The key in a scope of status and code of what its connection has answered in place of the application."""

_RECEIVED = "convserve.received"


def received(scope: Scope) -> dict[bytes, bytes]:
    """Return the headers of a request by their names in lower case; of several of one name, the first.

    All who ask get the same, for it is asked for several times: nobody may change it.
    """
    known: dict[bytes, bytes] | None = scope.get(_RECEIVED)
    if known is None:
        known = scope[_RECEIVED] = dict(scope["headers"][::-1])
    return known


def path_of(scope: Mapping[str, Any]) -> str:
    """Return the path of a request below where the service is mounted."""
    root: str = scope.get("root_path", "")
    path: str = scope["path"]
    return path.removeprefix(root) if root else path
