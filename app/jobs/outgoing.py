"""Calls from this server to addresses that callers have named: where they may go, and how long they may take.

Whoever may name an address must not reach through us what they cannot reach themselves. A name can resolve to
anything, and to something else a moment later: so it is resolved here, what comes out is looked at, and that very
address is connected to. Redirects are not followed, and no proxy of the environment is asked.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import httpcore
import httpx

from app.hosts import is_public, resolve


class NotSent(Exception):
    """A call has not got through; the message says why."""

    final: ClassVar = False
    """Whether it never will."""


class Forbidden(NotSent):
    """The address is none that may be called."""

    final: ClassVar = True


def post(
    url: str, body: bytes, headers: Mapping[str, str], *, seconds: float, allow_private: bool = False
) -> int:
    """Send a POST and return the status of the answer; what else the answer says is not read.

    Args:
        url: http or https.
        body: what to send.
        headers: what to send with it.
        seconds: how long it may take, from the connection to the head of the answer.
        allow_private: whether it may go to addresses that are not on the public internet.

    Raises:
        Forbidden: the address is not one of the public internet.
        NotSent: no connection, no answer, or not in time.
    """
    network = _Guarded(time.monotonic() + seconds, allow_private=allow_private)
    try:
        with (
            httpcore.ConnectionPool(ssl_context=_tls(url), network_backend=network) as pool,
            pool.stream("POST", url, headers=list(headers.items()), content=body) as answer,
        ):
            return answer.status
    except NotSent:
        raise
    except httpcore.TimeoutException as error:
        raise NotSent(f"no answer within {seconds:g} s") from error
    except (httpcore.NetworkError, httpcore.ProtocolError, OSError, ValueError) as error:
        raise NotSent(f"{type(error).__name__}: {error}") from error


def _tls(url: str) -> ssl.SSLContext | None:
    return httpx.create_ssl_context() if url.lower().startswith("https:") else None


class _Guarded(httpcore.NetworkBackend):
    """Connects to what it has looked at, and lets nothing last longer than until the deadline."""

    def __init__(self, deadline: float, *, allow_private: bool) -> None:
        self._deadline, self._allow_private = deadline, allow_private
        self._network = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address of a host that answers; refuse if any is not public."""
        try:
            addresses = resolve(host, port, _left(self._deadline))
        except TimeoutError:
            raise NotSent(f"the name {host} was not resolved in time") from None
        if not self._allow_private and not all(map(is_public, addresses)):
            # which address is not said: callers would learn what the names of our network stand for
            raise Forbidden(
                f"{host} has an address that is not on the public internet; "
                "the operator can allow it with CONVSERVE_WEBHOOK_PRIVATE"
            )
        fault: Exception = NotSent(f"{host} has no address")
        for address in addresses:
            try:
                stream = self._network.connect_tcp(address, port, _left(self._deadline))
            except httpcore.ConnectError as error:
                fault = error
            else:
                return _Stream(stream, self._deadline)
        raise fault


class _Stream(httpcore.NetworkStream):
    """A connection whose reads and writes share one deadline, however slowly the bytes come."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(self._deadline))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, _left(self._deadline))
        return _Stream(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("out of time")
    return left
