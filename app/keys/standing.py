"""Whether those who were let in for long would still be: looked at for all of them at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context

from app.errors import Unavailable
from app.keys.callers import Caller
from app.keys.ring import Keyring
from app.log import Log

log = Log(__name__)

LOOK_SECONDS = 0.5
"""Between two looks at whether their keys still hold."""


class Standing:
    """Ends what callers were given for long once their keys are revoked or expired; for the event loop alone.

    Args:
        keyring: tells whose keys hold.
    """

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._open: dict[asyncio.Timeout, Caller] = {}
        self._looking: asyncio.Task[None] | None = None

    @contextmanager
    def bound(self, caller: Caller | None, allowed: asyncio.Timeout) -> Iterator[None]:
        """Let a time be over as soon as a caller would not be let in any more, while entered.

        Args:
            caller: who was let in; None is nobody.
            allowed: the time, entered.
        """
        if caller is None:
            allowed.reschedule(asyncio.get_running_loop().time())
            yield
            return
        self._open[allowed] = caller
        if self._looking is None or self._looking.done():
            # of no request: it looks for all
            self._looking = asyncio.create_task(self._look(), context=Context())
        try:
            yield
        finally:
            del self._open[allowed]

    async def _look(self) -> None:
        """Look again and again, while anything is open."""
        while self._open:
            await asyncio.sleep(LOOK_SECONDS)
            callers = set(self._open.values())
            try:
                gone = {caller for caller in callers if not await self._keyring.stands(caller)}
            except Exception as error:  # who was let in stays while nobody can tell
                if not isinstance(error, Unavailable):
                    log.exception("keys_cannot_be_looked_at")
                continue
            now = asyncio.get_running_loop().time()
            for allowed, caller in self._open.items():
                if caller in gone and not allowed.expired():
                    allowed.reschedule(now)
