"""Idempotency keys: a creating call that is sent again creates nothing again.

A caller who does not know whether a call has arrived sends it again with the same `Idempotency-Key`. The
answer is kept in the transaction that creates the thing, so that there is never the one without the other;
a call that was refused has created nothing, and leaves its key free.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Header
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from app.errors import Conflict, FieldError, Invalid
from app.store import Store
from app.store.records import AnswerRecord

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
_KEY = re.compile(r"[!-~]{1,255}")


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to answer a call with a key, or the answer that it has got already."""

    route: str
    key: str
    fingerprint: str
    known: AnswerRecord | None = None


@dataclass
class Ledger:
    """The keys of one server.

    Which calls are under way is remembered here and nowhere else: those of a server that died are over.
    """

    store: Store
    _under_way: set[tuple[str, str]] = field(default_factory=set)

    @asynccontextmanager
    async def claim(self, route: str, key: str, fingerprint: str) -> AsyncIterator[Claim]:
        """Have a key to oneself for the length of a call.

        Raises:
            Conflict: another call with this key is under way.
            Invalid: it is no key, or one that something else was asked with.
        """
        if not _KEY.fullmatch(key):
            raise _refused(
                "it is empty, too long or has characters that are not printable ASCII",
                "use 1 to 255 letters, digits and signs, such as a UUID",
            )
        place = (route, key)
        if place in self._under_way:
            detail = "a call with this key is under way"
            fault = FieldError(detail, parameter=HEADER, hint="send it again in a moment")
            raise Conflict(f"{HEADER}: {detail}", code="idempotency-key-in-use", errors=(fault,))
        self._under_way.add(place)
        try:
            known = await run_in_threadpool(self.store.answers.find, route, key)
            if known is not None and known.fingerprint != fingerprint:
                raise _refused(
                    "something else was asked with this key",
                    "a key belongs to one request for 24 hours: choose another one",
                    code="idempotency-key-reused",
                )
            yield Claim(route, key, fingerprint, known)
        finally:
            self._under_way.discard(place)


def fingerprint(query: str, document: Any) -> str:
    """Return a checksum of a request: its query and its JSON, however that is laid out."""
    written = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{query}\n{written}".encode()).hexdigest()


def _refused(detail: str, hint: str, code: str | None = None) -> Invalid:
    field_error = FieldError(detail, parameter=HEADER, hint=hint)
    return Invalid(f"{HEADER}: {detail}", code=code, errors=(field_error,))


def not_for_forms() -> Invalid:
    """Make the error for a key with a body that is not JSON."""
    return _refused("keys are for JSON bodies", "send the same in JSON, or leave the key out")


@dataclass(frozen=True, slots=True)
class Once:
    """What a creating route sees of all this."""

    claim: Claim | None

    def answer(self, status: int, body: BaseModel, headers: dict[str, str]) -> AnswerRecord | None:
        """Return what the store is to keep with what is created; None where no key was sent."""
        if self.claim is None:
            return None
        return AnswerRecord(
            route=self.claim.route,
            key=self.claim.key,
            fingerprint=self.claim.fingerprint,
            status=status,
            headers=headers,
            body=body.model_dump(mode="json"),
        )


def _once(
    request: Request,
    key: Annotated[
        str | None,
        Header(
            alias=HEADER,
            description="A word of your own for this request, such as a UUID. Sent again within 24 hours it "
            "gets the same answer, and nothing is created twice.",
        ),
    ] = None,
) -> Once:
    return Once(getattr(request.state, "claim", None))


OnceDep = Annotated[Once, Depends(_once)]
"""A route that takes this takes idempotency keys."""
