"""Answers about API keys, from what is stored."""

from __future__ import annotations

from typing import Any

from app.api.keys import Key, NewKey
from app.store.keys import KeyRecord


def key(record: KeyRecord) -> Key:
    """Show a record."""
    return Key(**_entry(record))


def new_key(record: KeyRecord, secret: str) -> NewKey:
    """Show a record and, this once, its key."""
    return NewKey(**_entry(record), key=secret)


def _entry(record: KeyRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "name": record.name,
        "scopes": record.scopes,
        "created_at": record.created_at,
        "expires_at": record.expires_at,
        "last_used_at": record.last_used_at,
    }
