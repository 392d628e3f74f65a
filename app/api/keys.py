"""Answers about API keys."""

from __future__ import annotations

from app.api.common import Body, Time
from app.scopes import Scope


class Key(Body):
    """An API key; the key itself is shown by the answer that made it, and never again."""

    id: str
    name: str
    """What lines of the log call it."""
    scopes: list[Scope]
    """What it allows: `read`, `predict`, `write` (includes both) or `admin` (includes all)."""
    created_at: Time
    expires_at: Time | None
    """From when on it is refused; null where it never expires."""
    last_used_at: Time | None
    """To the minute or so; null where it was not used yet."""


class NewKey(Key):
    """A key that was just made."""

    key: str
    """What callers present. It is not stored: keep it now."""
