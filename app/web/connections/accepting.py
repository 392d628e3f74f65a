"""Takes connections from a socket that several processes have, so that each has about as many.

An event loop that took all connections that wait when it wakes would have most of them. So each takes one at a time;
one that has more than another lets that one go first for a moment; and one that has fewer takes several. Connections
are what is counted, and not what is asked by them: a client keeps its connection, and nobody knows what it will ask.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from app.log import Log
from app.processes.board import Place

log = Log(__name__)

_NO_FILES_PAUSE = 1.0
"""Seconds without new connections when there are too many open files."""
_LEAD = 1
"""How many connections more than another a process may have and still take the next."""
_MOMENT = 0.02
"""For how many seconds connections are left to those that have fewer; if they are busy, who has more takes them."""
_PATIENCE = 5
"""For how many moments on end it takes one each, then twice as many each time: a crowd does not wait for ever."""
_MOST = 64
"""How many it takes at once, at most."""


class InTurn:
    """What `loop.create_server` returns, as far as it is used."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listener: socket.socket,
        protocol: Callable[[], asyncio.Protocol],
        backlog: int,
        place: Place,
    ) -> None:
        """Listen, and take connections from now on.

        Args:
            loop: the running loop.
            listener: a bound socket; not closed here.
            protocol: makes what handles a connection, and takes it off the count at its end.
            backlog: how many may wait in the system until one of the processes takes them.
            place: where connections are counted.
        """
        self._loop, self._listener, self._protocol, self._place = loop, listener, protocol, place
        self._tasks: set[asyncio.Task[None]] = set()
        listener.setblocking(False)
        listener.listen(backlog)
        self._resume: asyncio.TimerHandle | None = None
        self._moments = 0
        place.take(True)
        self._watch()

    def close(self) -> None:
        """Take no more."""
        self._place.take(False)
        self._loop.remove_reader(self._listener)
        if self._resume is not None:
            self._resume.cancel()

    async def wait_closed(self) -> None:
        """Wait until those that were taken have their protocol."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _watch(self) -> None:
        self._resume = None
        self._loop.add_reader(self._listener, self._take_turn)

    def _pause(self, seconds: float, then: Callable[[], None]) -> None:
        self._loop.remove_reader(self._listener)
        self._resume = self._loop.call_later(seconds, then)

    def _take_turn(self) -> None:
        """Take a connection that waits, or as many as others are ahead, or leave it to those that have fewer."""
        if self._place.lead() > _LEAD:
            self._pause(_MOMENT, self._take_what_is_left)
            return
        self._moments = 0
        while self._accept() and self._place.lead() < 0:
            pass

    def _take_what_is_left(self) -> None:
        self._watch()
        self._moments += 1
        for _ in range(min(2 ** max(0, self._moments - _PATIENCE), _MOST)):
            if not self._accept():
                self._moments = 0
                return

    def _accept(self) -> bool:
        """Take a connection; return whether there was one."""
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False  # another process was quicker, or the caller has gone
        except OSError as error:
            log.error("not_accepted", error=str(error))
            self._pause(_NO_FILES_PAUSE, self._watch)
            return False
        connection.setblocking(False)
        self._place.count(1)
        task = self._loop.create_task(self._begin(connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _begin(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError as error:
            self._place.count(-1)
            log.warning("connection_failed", error=str(error))
