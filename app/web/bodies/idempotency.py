"""Idempotency keys: a creating call that is sent again creates nothing again.

A caller who does not know whether a call has arrived sends it again with the same `Idempotency-Key`. The
answer is kept in the transaction that creates the thing, so that there is never the one without the other;
a call that was refused has created nothing, and leaves its key free. Callers with API keys of their own have
idempotency keys of their own: neither sees what another was answered.
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

from app.errors import Conflict, Invalid
from app.store import Store
from app.store.records import AnswerRecord

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
_KEY = re.compile(r"[!-~]{1,255}")


class Answered(Exception):
    """A call was answered before; whoever receives its body lets go of that, and the answer is given again.

    Never seen by a client: it passes from the reader of a body to the route's frame.
    """

    def __init__(self, answer: AnswerRecord) -> None:
        super().__init__(f"{answer.route} was answered before")
        self.answer = answer


@dataclass(slots=True)
class Claim:
    """The right to answer a call with a key.

    Attributes:
        earlier: the answer that a call with this key has got.
        fingerprint: what is asked, empty until the body has arrived.
    """

    route: str
    key: str
    earlier: AnswerRecord | None
    fingerprint: str = ""

    def settle(self, fingerprint: str) -> None:
        """Say what is asked.

        Raises:
            Answered: the same was asked before.
            Invalid: something else was asked with this key.
        """
        if self.earlier is not None:
            if self.earlier.fingerprint == fingerprint:
                raise Answered(self.earlier)
            raise Invalid.at(
                HEADER,
                "something else was asked with this key",
                "a key belongs to one request for 24 hours: choose another one",
                parameter=True,
                code="idempotency-key-reused",
            )
        self.fingerprint = fingerprint


@dataclass
class Ledger:
    """The keys of one serving process.

    Which calls are under way is remembered here and nowhere else: those of a process that died are over. Where calls
    with one key reach two processes at a time, one is done first, and the other gets its answer.
    """

    store: Store
    _under_way: set[tuple[str, str]] = field(default_factory=set)

    @asynccontextmanager
    async def claim(self, route: str, key: str, key_id: str | None) -> AsyncIterator[Claim]:
        """Have a key to oneself for the length of a call.

        Args:
            route: the call.
            key: its idempotency key.
            key_id: of the API key that the caller has; None for the one of the settings, and where none is needed.

        Raises:
            Conflict: another call with this key is under way.
            Invalid: it is no key.
        """
        if not _KEY.fullmatch(key):
            raise Invalid.at(
                HEADER,
                "it is empty, too long or has characters that are not printable ASCII",
                "use 1 to 255 letters, digits and signs, such as a UUID",
                parameter=True,
            )
        if key_id is not None:
            key = f"{key_id} {key}"  # no idempotency key has a space
        place = (route, key)
        if place in self._under_way:
            raise Conflict.at(
                HEADER,
                "a call with this key is under way",
                "send it again in a moment",
                parameter=True,
                code="idempotency-key-in-use",
            )
        self._under_way.add(place)
        try:
            yield Claim(route, key, await run_in_threadpool(self.store.answers.find, route, key))
        finally:
            self._under_way.discard(place)


def settle(request: Request, document: Any) -> None:
    """Hold what is asked against what was asked before, if the call has a key: to be called with its whole body.

    Args:
        request: the call; its query counts as well.
        document: the body as JSON-ready data, with the checksums of files in place of their bytes.

    Raises:
        Answered, Invalid: as `Claim.settle` does.
    """
    claim: Claim | None = getattr(request.state, "claim", None)
    if claim is not None:
        written = json.dumps(document, sort_keys=True, separators=(",", ":"))
        claim.settle(hashlib.sha256(f"{request.url.query}\n{written}".encode()).hexdigest())


@dataclass(frozen=True, slots=True)
class Once:
    """What a creating route sees of all this."""

    claim: Claim | None

    def answer(self, status: int, body: BaseModel, headers: dict[str, str]) -> AnswerRecord | None:
        """Return what the store is to keep with what is created; None where no key was sent."""
        if self.claim is None:
            return None
        if not self.claim.fingerprint:
            raise AssertionError("the body was received by something that does not settle its claim")
        return AnswerRecord(
            route=self.claim.route,
            key=self.claim.key,
            fingerprint=self.claim.fingerprint,
            status=status,
            headers=headers,
            body=body.model_dump(mode="json"),
        )


async def _once(  # not `def`: it would be called in a thread
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
