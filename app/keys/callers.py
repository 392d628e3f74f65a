"""Who has made a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.scopes import MEANINGS, Scope

CALLER = "convserve.caller"
"""Where in the scope of a request its caller is, once the key has been looked at; see `caller_of`."""

ENVIRONMENT_NAME = "environment"
"""What lines of the log call the key that the settings have."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who has made a request, as far as a key says.

    Attributes:
        key_id: of the key; None for the one of the settings, and where none is needed.
        name: of the key; None where none is needed.
        may: the scopes of the key and those that they include.
        digest: of the key; see `app.keys.ring.digest_of`.
        expires_at: when the key does, in seconds since 1970.
    """

    key_id: str | None
    name: str | None
    may: frozenset[Scope]
    digest: str | None = None
    expires_at: float | None = None


ANYBODY = Caller(None, None, frozenset(MEANINGS))
"""Whoever calls a server that has no keys."""


def caller_of(scope: Mapping[str, Any]) -> Caller | None:
    """Return who has made a request; None where nobody asked, as of probes, or the key was refused."""
    caller: Caller | None = scope.get(CALLER)
    return caller


def key_of(scope: Mapping[str, Any]) -> dict[str, str]:
    """Return what a line of the log says of the key of a request: its name; nothing where there is none."""
    caller = caller_of(scope)
    return {} if caller is None or caller.name is None else {"key": caller.name}
