"""Refusals of what would take more than the operator allows."""

from __future__ import annotations

from app.errors import Invalid
from app.operations.numbers import Keys

MEMORY, ARITHMETIC = "bytes of memory", "steps of arithmetic"


def exceeded(place: Keys, what: str, needed: int, limit: int, hint: str) -> Invalid:
    """Make the error for what needs more memory or arithmetic than is allowed."""
    detail = f"this takes some {needed:.2g} {what}, and at most {limit:.2g} are allowed"
    name = what.partition(" ")[0]
    numbers = {f"needed_{name}": needed, f"limit_{name}": limit}
    return Invalid.at(place, detail, hint, code="limit-exceeded", numbers=numbers)
