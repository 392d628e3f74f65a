"""What API keys allow: scopes, and which of them include others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

Scope: TypeAlias = Literal["read", "predict", "write", "admin"]

READ: Scope = "read"
PREDICT: Scope = "predict"
WRITE: Scope = "write"
ADMIN: Scope = "admin"

MEANINGS: Mapping[Scope, str] = {
    READ: "look at everything that is stored, and compute what is not stored",
    PREDICT: "ask models about pictures; nothing else, so that whoever predicts sees no training pictures",
    WRITE: "make, change and delete; includes read and predict",
    ADMIN: "make, list and revoke keys; includes all others",
}
"""For documentation: a key with the scope may ..."""

_INCLUDED: Mapping[Scope, frozenset[Scope]] = {
    READ: frozenset({READ}),
    PREDICT: frozenset({PREDICT}),
    WRITE: frozenset({READ, PREDICT, WRITE}),
    ADMIN: frozenset({READ, PREDICT, WRITE, ADMIN}),
}


def included(scopes: Iterable[str]) -> frozenset[Scope]:
    """Return these scopes and those that they include; words that are none are left out."""
    return frozenset(
        scope for given in scopes for name, those in _INCLUDED.items() if name == given for scope in those
    )


def holders(scope: Scope) -> list[Scope]:
    """Return the scopes that include one, itself first."""
    return [name for name, those in _INCLUDED.items() if scope in those]
