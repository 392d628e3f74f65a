"""The keys that there are, held in memory: looking one up takes microseconds, and is never late.

What is held counts only while the database says that no key was made or revoked since, by anybody: see
`docs/decisions/rows-in-memory.md`. So a key works in every process as soon as it is made, and no longer once it is
revoked.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256

from app.keys.callers import ANYBODY, ENVIRONMENT_NAME, Caller
from app.keys.secrets import Secrets
from app.scopes import included
from app.store import Store
from app.store.keys import KeyRecord

PREFIX = "cvs_"
"""What keys begin with, so that people and scanners for secrets recognise one."""
_BYTES = 32


def new_key() -> str:
    """Return a fresh key of 256 random bits."""
    return PREFIX + secrets.token_urlsafe(_BYTES)


def digest_of(key: bytes) -> str:
    """Return what is kept of a key: SHA-256. It is random, so nobody finds it by guessing: no slow hash is needed."""
    return sha256(key).hexdigest()


class Expired(Exception):
    """The key was right until it expired."""

    def __init__(self, at: datetime) -> None:
        super().__init__(f"the key expired at {at.isoformat(timespec='seconds')}")


class Keyring:
    """Tells who calls by the key that is presented; for the thread of the event loop alone, but for `note_used`."""

    def __init__(self, store: Store, settings_secrets: Secrets) -> None:
        self._keys = store.keys
        self._changes = store.changes
        self._secrets = settings_secrets
        self._callers: Mapping[str, Caller] = {}
        self._some = False
        """Whether there are keys: also where none of them can be read, which lets nobody in and opens nothing."""
        self._counters: tuple[int, ...] | None = None
        self._used: dict[str, float] = {}

    async def caller(self, key: bytes) -> Caller | None:
        """Return who presents a key, empty for none; None for one that is not known.

        Raises:
            Expired: it is known, and its time is over.
            Unavailable: the database does not answer.
        """
        return await self._known(digest_of(key) if key else None)

    async def stands(self, caller: Caller) -> bool:
        """Tell whether who was let in once would be again, as the same: the key is neither revoked nor expired."""
        try:
            known = await self._known(caller.digest)
        except Expired:
            return False
        return known is not None and known.key_id == caller.key_id and caller.may <= known.may

    async def named(self, name: str | None) -> Caller | None:
        """Return the holder of a key by the key's id, or by the name of that of the settings; None where there is none.

        Args:
            name: None for whoever calls a server that has no keys.

        Raises:
            Expired: its time is over.
            Unavailable: the database does not answer.
        """
        if name is None:
            return await self._known(None)
        if name == ENVIRONMENT_NAME:
            own = self._secrets.api_key_digest
            return None if own is None else await self._known(own)
        if not self._is_current():
            await self._read()
        digest = next((each.digest for each in self._callers.values() if each.key_id == name), None)
        return None if digest is None else await self._known(digest)

    async def is_needed(self) -> bool:
        """Tell whether calls need a key: the settings have one, or some were made.

        Raises:
            Unavailable: the database does not answer.
        """
        if self._secrets.api_key_digest is not None:
            return True
        if not self._is_current():
            await self._read()
        return self._some

    async def _known(self, digest: str | None) -> Caller | None:
        own = self._secrets.api_key_digest
        # first, so that the operator is let in whatever the database says
        if own is not None and digest is not None and hmac.compare_digest(digest, own):
            return Caller(None, ENVIRONMENT_NAME, ANYBODY.may, own)
        if own is not None and digest is None:
            return None
        if not self._is_current():
            await self._read()
        if own is None and not self._some:
            return ANYBODY
        if digest is None:
            return None
        caller = self._callers.get(digest)
        if caller is None or caller.digest is None or not hmac.compare_digest(digest, caller.digest):
            return None
        now = time.time()
        if caller.expires_at is not None and now >= caller.expires_at:
            raise Expired(datetime.fromtimestamp(caller.expires_at, UTC))
        if caller.key_id is not None:
            self._used[caller.key_id] = now
        return caller

    def _is_current(self) -> bool:
        """Tell whether what is held is what the database has."""
        counters = self._changes.counters(self._keys.watched)
        return counters is not None and counters == self._counters

    async def _read(self) -> None:
        """Read the keys anew."""
        counters = self._changes.counters(self._keys.watched)
        records = await asyncio.to_thread(self._keys.all)
        self._callers = {each.digest: _caller(each) for each in records if each is not None}
        self._some = bool(records)
        # those from before the read: what was changed meanwhile is read at the next look
        self._counters = counters

    def note_used(self) -> None:
        """Write down when keys were last used. Takes long, and is for any thread."""
        used, self._used = self._used, {}
        if used:
            self._keys.note({key_id: datetime.fromtimestamp(at, UTC) for key_id, at in used.items()})


def _caller(record: KeyRecord) -> Caller:
    expires_at = None if record.expires_at is None else record.expires_at.timestamp()
    return Caller(record.id, record.name, included(record.scopes), record.digest, expires_at)
