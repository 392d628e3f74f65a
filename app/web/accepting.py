"""Takes connections from a socket that several processes have, one at a time."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from app.log import Log

log = Log(__name__)

_PAUSE = 1.0
"""Seconds without new connections when there are too many open files."""


class OneByOne:
    """What `loop.create_server` returns, as far as it is used."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listener: socket.socket,
        protocol: Callable[[], asyncio.Protocol],
        backlog: int,
    ) -> None:
        """Listen, and take connections from now on.

        Args:
            loop: the running loop.
            listener: a bound socket; not closed here.
            protocol: makes what handles a connection.
            backlog: how many may wait in the system until one of the processes takes them.
        """
        self._loop, self._listener, self._protocol = loop, listener, protocol
        self._tasks: set[asyncio.Task[object]] = set()
        listener.setblocking(False)
        listener.listen(backlog)
        self._resume: asyncio.TimerHandle | None = None
        self._watch()

    def close(self) -> None:
        """Take no more."""
        self._loop.remove_reader(self._listener)
        if self._resume is not None:
            self._resume.cancel()

    async def wait_closed(self) -> None:
        """Wait until those that were taken have their protocol."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _watch(self) -> None:
        self._resume = None
        self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another process was quicker, or the caller has gone
        except OSError as error:
            log.error("not_accepted", error=str(error))
            self._loop.remove_reader(self._listener)
            self._resume = self._loop.call_later(_PAUSE, self._watch)
            return
        connection.setblocking(False)
        task: asyncio.Task[object] = self._loop.create_task(
            self._loop.connect_accepted_socket(self._protocol, connection)
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
