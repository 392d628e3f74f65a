"""The open connections of a serving process: how many there may be, and how long they may keep it waiting.

Nothing here is on the way of a request but the first of a connection. What a connection waits for is looked at once a
second, from outside; docs/decisions/callers-from-outside.md says why.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from app.hosts import is_among
from app.log import Log
from app.settings import Settings

log = Log(__name__)

SLICES = 10
"""A look at all connections is done in so many turns of the event loop, each for a part of them."""
SURPLUS = 64
"""Connections beyond the bound: each may say what it wants, and is answered where that is a probe."""
MOST_HEADS_BYTES = 16 * 1024 * 1024
"""What long heads that are not whole yet may hold together: anybody can send them, without a key."""
_SHARE = 4
"""One address may have one in so many of all connections without having sent a whole head, if it is no proxy."""
_YOUNG_SECONDS = 1.0
"""So long any number may be silent: whoever begins many at once has all of them taken before the first is read."""
_LONGEST_STEP = 2.0
"""Seconds. Where this process or the machine stood still for longer, it is no fault of the callers."""


class Waits(Enum):
    """What a connection waits for."""

    HEAD = auto()
    BODY = auto()
    ANSWER = auto()
    NEXT = auto()
    """Request, after an answer."""
    CLOSING = auto()


class Late(Enum):
    """What a caller was late with."""

    HEAD = "heads"
    BODY = "bodies"
    ANSWER = "answers"


@dataclass(slots=True)
class Seen:
    """What the last look at a connection found.

    Attributes:
        waits: for what.
        heads: after how many of its requests.
        since: the time from which it has waited for that without progress.
        received: bytes that had arrived at that time.
        unsent: bytes that its caller had not taken at the last look.
        resumed: how often it had taken enough of them.
        unsent_since: since when it takes none.
    """

    waits: Waits
    heads: int
    since: float
    received: int
    unsent: int
    resumed: int
    unsent_since: float


class Caller(Protocol):
    """A connection, as far as it matters here; see `app.web.connections.connection`."""

    heads: int
    received: int
    resumed: int
    head_bytes: int
    surplus: bool
    seen: Seen

    @property
    def address(self) -> str:
        """Of whoever calls."""

    @property
    def unsent(self) -> int:
        """Bytes that were written, and that the caller does not take yet."""

    @property
    def waits(self) -> Waits:
        """What this server waits for."""

    @property
    def rests(self) -> bool:
        """Whether nobody would lose an answer by its end."""

    def close(self) -> None:
        """End it, which waits for its next request."""

    def end(self, late: Late | None) -> None:
        """End it: because its caller was late with something, or to make room."""


class Callers:
    """Counts connections, ends those that keep it waiting for too long, and makes room for others.

    Args:
        settings: of this process, see `Settings.share`.
        ended: called for each connection that has ended.
    """

    def __init__(self, settings: Settings, ended: Callable[[], None] = lambda: None) -> None:
        self._settings = settings
        self._most = settings.max_connections
        self._ended = ended
        self._open: set[Caller] = set()
        self._silent: OrderedDict[Caller, None] = OrderedDict()
        """Those that have not sent a whole head yet, the oldest first."""
        self._of_address: dict[str, OrderedDict[Caller, None]] = {}
        """The same, by address."""
        self._surplus: OrderedDict[Caller, None] = OrderedDict()
        """Those beyond the bound, the oldest first."""
        self._resting: deque[Caller] = deque()
        """Those that had nothing to do at the last look, the one that had nothing for longest first."""
        self._heads: OrderedDict[Caller, None] = OrderedDict()
        """Those with long heads that are not whole, the one that began first first."""
        self._heads_bytes = 0
        self._turns = self._begin_look()
        self._now = self._looked = time.monotonic()
        self._counts: Counter[str] = Counter()

    def first_look(self) -> Seen:
        """Return what is seen of a connection that begins."""
        return Seen(Waits.HEAD, 0, self._now, 0, 0, 0, self._now)

    def begin(self, caller: Caller) -> None:
        """Take a connection, and end another if there are too many."""
        self._open.add(caller)
        self._silent[caller] = None
        self._of_address.setdefault(caller.address, OrderedDict())[caller] = None
        if len(self._open) - len(self._surplus) > self._most and not self._make_room(caller):
            caller.surplus = True
            self._surplus[caller] = None
            if len(self._surplus) > SURPLUS:
                self._drop(next(other for other in self._surplus if other in self._silent))

    def hear(self, caller: Caller) -> None:
        """Take note that a connection has sent its first whole head."""
        if self._silent.pop(caller, self) is self:
            return
        of_address = self._of_address[caller.address]
        del of_address[caller]
        if not of_address:
            del self._of_address[caller.address]

    def hold_head(self, caller: Caller, count: int) -> None:
        """Take note of how many bytes a connection holds of a long head that is not whole; 0 is none any more."""
        self._heads_bytes += count - caller.head_bytes
        caller.head_bytes = count
        if not count:
            self._heads.pop(caller, None)
            return
        self._heads[caller] = None
        while self._heads_bytes > MOST_HEADS_BYTES:
            self._drop(next(iter(self._heads)))

    def admit(self, caller: Caller) -> bool:
        """Let one that is beyond the bound be among the others if there is room for it; return whether there is."""
        if len(self._open) - len(self._surplus) >= self._most and not self._make_room(caller):
            return False
        del self._surplus[caller]
        caller.surplus = False
        return True

    def end(self, caller: Caller) -> None:
        """Let go of a connection that has ended."""
        self._forget(caller)
        self._ended()

    def _make_room(self, caller: Caller) -> bool:
        """End another that has nothing to do; return whether there was one.

        First go those that have not sent a whole head, the oldest of them; then those that wait for their next request.
        """
        for other in self._silent:
            if other is not caller and not other.surplus:
                self._drop(other)
                return True
        while self._resting:
            other = self._resting.popleft()
            if other is not caller and other in self._open and other.rests:
                self._drop(other)
                return True
        return False

    def _drop(self, caller: Caller) -> None:
        self._counts["for_room"] += 1
        self._forget(caller)
        caller.end(None)

    def _forget(self, caller: Caller) -> None:
        self.hear(caller)
        self.hold_head(caller, 0)
        self._open.discard(caller)
        self._surplus.pop(caller, None)

    def look(self) -> None:
        """Look at a part of the connections; to be called ten times a second."""
        now = time.monotonic()
        self._now += min(now - self._looked, _LONGEST_STEP)
        self._looked = now
        if next(self._turns, None) is None:
            if self._counts:
                # a line a second, however many there are
                log.warning("connections_ended", **self._counts)
                self._counts.clear()
            self._turns = self._begin_look()

    def _begin_look(self) -> Iterator[bool]:
        """Look at all connections, a part of them at each step."""
        callers = tuple(self._open)
        resting = []
        for part in range(SLICES):
            for caller in callers[part::SLICES]:
                if caller not in self._open:
                    continue
                late = self._late(caller)
                if late is not None:
                    self._counts[late.value] += 1
                    caller.end(late)
                elif caller.heads and caller.rests:
                    resting.append(caller)
            yield True
        for address, silent in tuple(self._of_address.items()):
            self._keep_share(address, silent)
        resting.sort(key=lambda caller: caller.seen.since)
        self._resting = deque(resting)

    def _keep_share(self, address: str, silent: OrderedDict[Caller, None]) -> None:
        """End the oldest connections of an address that has too many that say nothing."""
        most = max(1, self._most // _SHARE)
        if len(silent) <= most or is_among(address, self._settings.trusted_proxies):
            return
        for caller in tuple(silent)[:-most]:
            if self._now - caller.seen.since >= _YOUNG_SECONDS:
                self._drop(caller)

    def _late(self, caller: Caller) -> Late | None:
        """Tell what the caller is late with, and take note of what is seen."""
        seen, now, waits = caller.seen, self._now, caller.waits
        unsent = caller.unsent
        if unsent == 0 or unsent < seen.unsent or caller.resumed != seen.resumed:
            seen.unsent_since = now
        seen.unsent, seen.resumed = unsent, caller.resumed
        if now - seen.unsent_since >= self._settings.answer_seconds:
            return Late.ANSWER
        if waits is not seen.waits or caller.heads != seen.heads:
            seen.waits, seen.heads, seen.since, seen.received = waits, caller.heads, now, caller.received
            return None
        waited = now - seen.since
        if waits is Waits.NEXT and waited >= self._settings.keep_alive_seconds:
            caller.close()
        if waits is Waits.HEAD and waited >= self._settings.header_seconds:
            return Late.HEAD
        if waits is Waits.BODY and waited >= self._settings.body_seconds:
            if caller.received - seen.received < self._settings.body_rate * waited:
                return Late.BODY
            seen.since, seen.received = now, caller.received
        return None
