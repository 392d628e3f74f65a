"""The server process: its socket, its signals, and the file by which others find it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import Callable
from contextlib import closing
from types import FrameType

import uvicorn
from fastapi import FastAPI

from app.log import Log
from app.log import format as log_format
from app.services import Services
from app.settings import Settings, SettingsError, misspelt_variables
from app.web import heads

log = Log(__name__)

ADDRESS_FILE = "server.json"
_KEEP_ALIVE_SECONDS = 75
_LAST_ANSWERS_SECONDS = 5


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
    with closing(_bind(settings)) as listener:
        log_format.configure(settings)
        for variable, nearest in misspelt_variables().items():
            log.warning("unknown_variable", variable=variable, nearest=nearest)
        config = uvicorn.Config(
            app,
            http=heads.protocol(),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_LAST_ANSWERS_SECONDS,
        )
        # uvloop where it is installed
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(_serve(app, settings, config, listener, ready))


async def _serve(
    app: FastAPI,
    settings: Settings,
    config: uvicorn.Config,
    listener: socket.socket,
    ready: Callable[[str], None] | None,
) -> None:
    # Outside of uvicorn, which would tell of a data directory in use by a stack trace.
    async with app.router.lifespan_context(app):
        services: Services = app.state.services
        url = _url(listener)

        def listening() -> None:
            content = json.dumps({"url": url, "pid": os.getpid()}).encode()
            services.artifacts.write(ADDRESS_FILE, content)
            log.info("listening", url=url, data_dir=str(settings.data_dir))
            if ready is not None:
                ready(url)

        try:
            await _Server(config, services, listening).serve([listener])
        finally:
            services.artifacts.delete(ADDRESS_FILE)
    log.info("stopped")


class _Server(uvicorn.Server):
    """Uvicorn, which drains before it stops."""

    def __init__(self, config: uvicorn.Config, services: Services, listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._services = services
        self._listening = listening
        self._signalled = False
        self._drain: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._listening()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._signalled:
            signal.signal(sig, signal.SIG_DFL)
            signal.raise_signal(sig)
        # No more than this here: a signal arrives between any two instructions.
        self._signalled = True

    async def on_tick(self, counter: int) -> bool:
        if self._signalled and self._drain is None:
            log.info("draining", grace_seconds=self._services.settings.grace_seconds)
            self._drain = asyncio.create_task(asyncio.to_thread(self._services.drain))
        if self._drain is not None and self._drain.done():
            self.should_exit = True
        return await super().on_tick(counter)


def _bind(settings: Settings) -> socket.socket:
    """Bind, and do not listen yet: who connects before the server is ready is refused, not left waiting."""
    host = settings.host.strip("[]")
    try:
        found = socket.getaddrinfo(host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise SettingsError(f"cannot listen on {settings.host}: {error.strerror or error}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.set_inheritable(False)
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"cannot listen on {settings.host}, port {settings.port}: {error.strerror}. "
            "Name another port by --port or in CONVSERVE_PORT (0 picks a free one)"
        ) from error
    return listener


def _url(listener: socket.socket) -> str:
    """Return an address at which the server can be called from this machine."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
