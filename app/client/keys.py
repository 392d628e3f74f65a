"""API keys, for whoever has that of an admin."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import quote

from app.api.keys import Key, NewKey
from app.client.calls import Call, chosen, entries, nothing, record
from app.client.resource import M, Resource, call

_KEYS = "/v1/keys"


class Keys(Resource[M]):
    """Who may call the service, and what each may do."""

    @call
    def create(
        self, name: str, scopes: Sequence[str] = ("read",), *, expires_at: datetime | None = None
    ) -> Call[NewKey]:
        """Make a key; its `key` is in this answer and nowhere else.

        Args:
            name: what the log will call it; no other key has the same.
            scopes: `read`, `predict`, `write` (includes both), `admin` (includes all).
            expires_at: from when on it is refused, a time with its zone.
        """
        expiry = None if expires_at is None else expires_at.isoformat()
        body = {"name": name, "scopes": list(scopes)} | chosen({"expires_at": expiry})
        return record(NewKey, "POST", _KEYS, json=body)

    @call
    def list(self) -> Call[tuple[Key, ...]]:
        """Return all keys, newest first."""
        return entries(Key, _KEYS)

    @call
    def get(self, key: str) -> Call[Key]:
        """Return what is known of a key, by its id or name."""
        return record(Key, "GET", f"{_KEYS}/{quote(key, safe='')}")

    @call
    def revoke(self, key: str) -> Call[None]:
        """Revoke a key, by its id or name; it is refused from now on."""
        return nothing("DELETE", f"{_KEYS}/{quote(key, safe='')}")
