"""Addresses that carry their own permission, for what can send no header, such as `EventSource` and `<img>`.

An address ends with `signature=KEY.TIME.HMAC`: which key it was made with, until when it is good, and an HMAC-SHA256 of
that key's digest, of the path and the query as they are sent, and of the time. So it opens nothing else, for nobody
longer, and no more once its key is revoked or replaced; nothing is stored of it.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import re
import secrets
import time
from contextlib import suppress
from dataclasses import replace

from app.files.artifacts import Artifacts
from app.keys.callers import Caller
from app.keys.ring import Expired, Keyring
from app.scopes import READ

PARAMETER = "signature"
FILE = "signing-key"
"""In the data directory: what all processes sign with. Without it and after a new start no address is good any more."""

_BYTES = 32
_NOBODY = "-"
"""In place of a key where none is needed."""
_SIGNATURE = re.compile(
    rb"(?:(?P<query>.*)&)?signature=(?P<key>[\w-]+)\.(?P<until>[0-9]{1,12})\.(?P<mac>[\w-]{43})"
)
_SIGNED = re.compile(rb"(?:^|&)signature=")


class Unsigned(Exception):
    """An address has a signature that is not good, or no more; the message says why."""


class Signer:
    """Makes and reads such addresses.

    Args:
        artifacts: where the file is.
        keyring: knows who has a key.
    """

    def __init__(self, artifacts: Artifacts, keyring: Keyring) -> None:
        self._artifacts = artifacts
        self._keyring = keyring
        self._secret: bytes | None = None

    def prepare(self) -> None:
        """Read the key that addresses are signed with, or make it. Takes long: not for the event loop.

        Raises:
            OSError: the file cannot be read or written.
        """
        if self._secret is None:
            self._secret = _read_or_make(self._artifacts)

    @property
    def is_prepared(self) -> bool:
        """Whether that was done."""
        return self._secret is not None

    def sign(self, caller: Caller, path: str, query: str, until: int) -> str:
        """Return the query that a path is asked for with, signed; `prepare` comes first.

        Args:
            caller: on whose behalf it will be asked for.
            path: below where the service is mounted, without percent signs.
            query: as it will be sent, without a question mark.
            until: when it ends, in seconds since 1970.
        """
        named = caller.key_id or caller.name or _NOBODY
        signature = f"{PARAMETER}={named}.{until}.{self._mac(caller, path, query.encode(), until).decode()}"
        return f"{query}&{signature}" if query else signature

    async def caller(self, path: str, query: bytes) -> tuple[Caller, bytes] | None:
        """Return on whose behalf an address may be read, and its query without the signature; None where it has none.

        Raises:
            Unsigned: the signature is not good, or no more.
            Unavailable: the database does not answer.
            OSError: as `prepare` does.
        """
        found = _SIGNATURE.fullmatch(query)
        if found is None:
            if _SIGNED.search(query):
                raise Unsigned(f"the parameter {PARAMETER} is cut short, or is not the last one")
            return None
        if not self.is_prepared:
            await asyncio.to_thread(self.prepare)
        rest, until = found["query"] or b"", int(found["until"])
        try:
            caller = await self._keyring.named(_name(found["key"].decode()))
        except Expired as error:
            raise Unsigned(f"it was made with a key that is over: {error}") from None
        if caller is None or not hmac.compare_digest(found["mac"], self._mac(caller, path, rest, until)):
            raise Unsigned(
                "it is not of this address, or the key that it was made with was revoked or replaced"
            )
        if time.time() >= until:
            raise Unsigned("its time is over")
        return replace(caller, may=caller.may & {READ}), rest

    def _mac(self, caller: Caller, path: str, query: bytes, until: int) -> bytes:
        # the parts cannot run into one another: it is said how long the one before the last is
        signed = (
            f"{caller.digest or ''}\n{until}\n{len(query)}\n".encode() + query + path.encode(errors="replace")
        )
        if self._secret is None:
            raise RuntimeError("the key that addresses are signed with has not been read")
        code = hmac.digest(self._secret, signed, "sha256")
        return base64.urlsafe_b64encode(code).rstrip(b"=")


def _name(named: str) -> str | None:
    return None if named == _NOBODY else named


def _read_or_make(artifacts: Artifacts) -> bytes:
    """Return what is in the file; of several processes that find none at the same time, the file of one stays."""
    with suppress(FileNotFoundError):
        return artifacts.local_path(FILE).read_bytes()
    artifacts.write_new(FILE, secrets.token_bytes(_BYTES))
    return artifacts.local_path(FILE).read_bytes()
