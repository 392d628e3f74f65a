"""A serving process: its signals, and how it stops."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from types import FrameType

import uvicorn
from fastapi import FastAPI

from app.files.limits import open_files, raise_open_files
from app.log import Log
from app.log.uncaught import crashes_kept
from app.metrics.families import CONNECTIONS
from app.processes.board import BEAT_SECONDS, Place
from app.processes.listener import announced, begin_log, bind
from app.services import Services
from app.settings import Settings, SettingsError
from app.web.connections.accepting import InTurn
from app.web.connections.callers import Callers
from app.web.connections.connection import Connection, State
from app.web.middleware.request_log import Answered

log = Log(__name__)

_LAST_ANSWERS_SECONDS = 5
_OTHER_FILES = 64
"""What a serving process has open beside connections: the database, data sets, models."""


def serve(app: FastAPI, settings: Settings, ready: Callable[[str], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then drain and return.

    On the first signal readiness says no, running jobs save themselves and go back to the queue, for
    which they have `grace_seconds`, and the server stops. A second signal ends the process at once; jobs
    survive that too.

    Args:
        app: made by `app.main.create_app`.
        settings: see `app.settings`.
        ready: called with the server's address once it listens.

    Raises:
        SettingsError: an address, a port or a data directory that cannot be used.
    """
    with closing(bind(settings)) as listener:
        begin_log(settings)
        config = _config(app, settings)
        with _runner(config) as runner:
            runner.run(_serve_alone(config, app, settings, listener, ready))


async def _serve_alone(
    config: uvicorn.Config,
    app: FastAPI,
    settings: Settings,
    listener: socket.socket,
    ready: Callable[[str], None] | None,
) -> None:
    # Outside of uvicorn, which would tell of a data directory in use by a stack trace.
    async with app.router.lifespan_context(app):
        with _crashes_kept(app), announced(settings, listener, ready) as listening:
            await _Server(config, app, listening).serve([listener])
    log.info("stopped")


def _crashes_kept(app: FastAPI) -> AbstractContextManager[None]:
    services: Services = app.state.services
    return crashes_kept(services.settings.data_dir / f"crash-{services.member.number}.log")


def serve_as_member(
    app: FastAPI, settings: Settings, place: Place, listener: socket.socket, listening: Callable[[], None]
) -> None:
    """Serve as one of several processes, until SIGTERM; see `serve`.

    Args:
        app: made for this process.
        settings: see `app.settings`.
        place: what it shows the others.
        listener: the socket that all of them have.
        listening: called once this one answers.

    Raises:
        SettingsError: a data directory that cannot be used.
    """
    config = _config(app, settings)

    async def beat() -> None:
        while True:
            place.beat()
            await asyncio.sleep(BEAT_SECONDS)

    async def answer() -> None:
        beating = asyncio.create_task(beat())
        async with app.router.lifespan_context(app):
            with _crashes_kept(app):
                await _MemberServer(config, app, place, listening).serve([listener])
        beating.cancel()

    with _runner(config) as runner:
        runner.run(answer())


def _config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    connections, files = settings.share().max_connections, open_files() - _OTHER_FILES
    if connections > files:
        raise SettingsError(
            f"CONVSERVE_MAX_CONNECTIONS: a process may have {files} here, beside the other files that it opens, and "
            f"not {connections}: set fewer, or let the system allow more (`ulimit -Hn`)"
        )
    raise_open_files()
    return uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        # app.web.middleware.forwarded reads them
        proxy_headers=False,
        timeout_graceful_shutdown=_LAST_ANSWERS_SECONDS,
    )


def _runner(config: uvicorn.Config) -> asyncio.Runner:
    # uvloop where it is installed
    return asyncio.Runner(loop_factory=config.get_loop_factory())


class _Server(uvicorn.Server):
    """Uvicorn, which drains before it stops."""

    def __init__(
        self,
        config: uvicorn.Config,
        app: FastAPI,
        listening: Callable[[], None],
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(config)
        services: Services = app.state.services
        answered: Answered = app.state.answered
        self._callers = Callers(services.settings.share(), ended)
        self.server_state = State(self._callers, services.settings.root_path, answered)
        self._services = services
        self._listening = listening
        self._signalled = False
        self._drain: asyncio.Task[None] | None = None
        connections = self.server_state.connections
        services.metrics.watch(lambda: [(CONNECTIONS, (), len(connections))])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._listening()
            self._services.upkeep.start()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._signalled:
            signal.signal(sig, signal.SIG_DFL)
            signal.raise_signal(sig)
        # No more than this here: a signal arrives between any two instructions.
        self._signalled = True

    async def on_tick(self, counter: int) -> bool:
        self._callers.look()
        if self._signalled and self._drain is None:
            log.info("draining", grace_seconds=self._services.settings.grace_seconds)
            self._drain = asyncio.create_task(asyncio.to_thread(self._services.drain))
        if self._drain is not None and self._drain.done():
            self.should_exit = True
        return await super().on_tick(counter)


class _MemberServer(_Server):
    """One of several on a socket; see `app.web.connections.accepting`."""

    def __init__(
        self, config: uvicorn.Config, app: FastAPI, place: Place, listening: Callable[[], None]
    ) -> None:
        super().__init__(config, app, listening, lambda: place.count(-1))
        self._place = place

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        loop = asyncio.get_running_loop()

        def create_protocol() -> asyncio.Protocol:
            return self.config.http_protocol_class(  # type: ignore[call-arg]
                config=self.config, server_state=self.server_state, app_state={}, _loop=loop
            )

        self.servers = [
            InTurn(loop, listener, create_protocol, self.config.backlog, self._place)  # type: ignore[misc]
            for listener in sockets or ()
        ]
        self.started = True
        self._listening()
