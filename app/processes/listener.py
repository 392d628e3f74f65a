"""The socket of a server, and the file by which others find it."""

from __future__ import annotations

import difflib
import errno
import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from app.files.artifacts import LocalArtifacts
from app.log import Log
from app.log import format as log_format
from app.processes.member import left_behind, unusable
from app.settings import PREFIX, Settings, SettingsError

log = Log(__name__)

ADDRESS_FILE = "server.json"

_OTHERS = frozenset({"CONVSERVE_URL"})
"""Variables that the client reads."""


def bind(settings: Settings) -> socket.socket:
    """Bind, and do not listen yet: who connects before the server is ready is refused, not left waiting.

    Raises:
        SettingsError: an address or a port that cannot be used.
    """
    host = settings.host.strip("[]")
    try:
        found = socket.getaddrinfo(host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise SettingsError(f"cannot listen on {settings.host}: {error.strerror or error}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.set_inheritable(False)
        if sys.platform == "linux":
            # Connections have it from here. Callers who are cut off from the network do not say so, and what is sent to
            # them would be sent again for a quarter of an hour (tcp(7)).
            patience = int(2000 * settings.answer_seconds)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, patience)
        _bind_once_free(listener, address, settings.data_dir)
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"cannot listen on {settings.host}, port {settings.port}: {error.strerror}. "
            "Name another port by --port or in CONVSERVE_PORT (0 picks a free one)"
        ) from error
    except BaseException:
        listener.close()
        raise
    return listener


def _bind_once_free(listener: socket.socket, address: Any, data_dir: Path) -> None:
    """Bind; who still has the port of a server of this data directory that was killed is about to let go of it."""
    try:
        listener.bind(address)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        stays = left_behind(data_dir)
        if stays is not None:
            raise SettingsError(
                f"cannot listen on port {address[1]}, nor use the data directory {data_dir}: they are held by {stays}"
            ) from error
        listener.bind(address)


def begin_log(settings: Settings) -> None:
    """Send the log where the settings say, and warn of variables that are no settings."""
    log_format.configure(settings)
    for variable, nearest in misspelt_variables().items():
        log.warning("unknown_variable", variable=variable, nearest=nearest)


def misspelt_variables() -> dict[str, str | None]:
    """Return the variables of the environment that look like settings and are none, each with the nearest setting."""
    settings = [name.upper() for name in Settings.model_fields]
    found = {}
    for variable in sorted(os.environ):
        name = variable.removeprefix(PREFIX)
        if variable.startswith(PREFIX) and name not in settings and variable not in _OTHERS:
            near = difflib.get_close_matches(name, settings, 1)
            found[variable] = PREFIX + near[0] if near else None
    return found


@contextmanager
def announced(
    settings: Settings, listener: socket.socket, ready: Callable[[str], None] | None
) -> Iterator[Callable[[], None]]:
    """Yield what is to be called once the server listens: it says where, in the log and in a file.

    The file is removed in the end.

    Args:
        settings: of the server.
        listener: its socket.
        ready: also called, with the server's address.
    """
    artifacts = LocalArtifacts(settings.data_dir)
    url = _url(listener)

    def listening() -> None:
        content = json.dumps({"url": url, "pid": os.getpid()}).encode()
        try:
            artifacts.write(ADDRESS_FILE, content)
        except OSError as error:
            raise unusable(settings.data_dir, error) from error
        log.info("listening", url=url, data_dir=str(settings.data_dir))
        if ready is not None:
            ready(url)

    try:
        yield listening
    finally:
        # one that stays names a process that is gone
        with suppress(OSError):
            artifacts.delete(ADDRESS_FILE)


def _url(listener: socket.socket) -> str:
    """Return an address at which the server can be called from this machine."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
