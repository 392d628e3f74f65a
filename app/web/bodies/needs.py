"""Which scope of a key each call needs: by its method, unless its function says otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from typing import Any, TypeVar

from app.errors import Forbidden
from app.keys.callers import caller_of
from app.scopes import READ, WRITE, Scope, holders

F = TypeVar("F", bound=Callable[..., Any])

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_NEEDS = "_convserve_needs"


def needs(scope: Scope | None) -> Callable[[F], F]:
    """Say of the function of a route which scope its calls need, where the method does not tell.

    Args:
        scope: the scope; None where any key will do.
    """

    def mark(function: F) -> F:
        setattr(function, _NEEDS, scope)
        return function

    return mark


def needed(function: Callable[..., Any], methods: Set[str]) -> Scope | None:
    """Return the scope that calls of a function need; None where any key will do."""
    scope: Scope | None = getattr(function, _NEEDS, READ if methods <= SAFE_METHODS else WRITE)
    return scope


def check(scope: Mapping[str, Any], need: Scope | None) -> None:
    """Refuse a request whose caller may not make it.

    Args:
        scope: of the request.
        need: what it needs.

    Raises:
        Forbidden: the key of its caller does not have that.
    """
    if need is None:
        return
    caller = caller_of(scope)
    if caller is not None and need in caller.may:
        return
    has = ", ".join(sorted(caller.may)) if caller is not None else "none"
    raise Forbidden.at(
        "Authorization",
        f"this call needs the scope {need}, and the key has {has}",
        f"use a key with the scope {' or '.join(holders(need))}",
        parameter=True,
    )
