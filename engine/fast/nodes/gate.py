"""How the nodes of a run find together: the first one waits at a port, the others come and show that they belong there.

Each side shows that it has the token of the run, by a sum over what the other has drawn: the token itself is never
sent. Whoever cannot is let go of, without having been read further than the few bytes of its proof.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import secrets
import selectors
import socket
import struct
import time
from dataclasses import dataclass, field

from engine.fast.nodes.channel import Channel
from engine.fast.parallel.parts import ShareLost

_DRAWN = 32
_SUM = hashlib.sha256().digest_size
_GREETING = struct.Struct(f"!6s{_DRAWN}s")
_MARK = b"CVNODE"
_PROOF = struct.Struct(f"!I{_DRAWN}s{_SUM}s")
"""Which node it is, what it has drawn, and its sum."""
_PROOF_SECONDS = 10.0
_MOST_WAITING = 64
_AGAIN_SECONDS = 0.2


@dataclass
class _Caller:
    """Somebody who has been greeted and has not shown anything yet."""

    connection: socket.socket
    drawn: bytes
    until: float
    shown: bytearray = field(default_factory=bytearray)


class Gate:
    """A port at which the other nodes come in; `close` closes it, and leaves those who are in to their channels."""

    def __init__(self, host: str, token: bytes, nodes: int, patience: float) -> None:
        """Listen.

        Args:
            host: the address of this machine at which the others reach it.
            token: of the run.
            nodes: of the run, this one among them.
            patience: see `Channel`.
        """
        self._token, self._nodes, self._patience = token, nodes, patience
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family, backlog=_MOST_WAITING)
        self._listener.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._waiting: dict[int, _Caller] = {}
        self._inside: dict[int, Channel] = {}

    @property
    def port(self) -> int:
        """Where it is."""
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def missing(self) -> list[int]:
        """The numbers of the nodes, from 1, that have not come."""
        return [number for number in range(1, self._nodes) if number not in self._inside]

    @property
    def channels(self) -> list[Channel]:
        """Those of the nodes that have come, in the order of their numbers."""
        return [self._inside[number] for number in sorted(self._inside)]

    def look(self, seconds: float) -> None:
        """Let in whoever comes, for so many seconds or until all are there."""
        until = time.monotonic() + seconds
        while self.missing and (left := until - time.monotonic()) > 0:
            for key, _ in self._selector.select(min(left, _AGAIN_SECONDS)):
                if key.fileobj is self._listener:
                    self._greet()
                elif (caller := self._waiting.get(key.fd)) is not None:  # not turned away for the one before
                    self._read(caller)
            now = time.monotonic()
            for caller in [each for each in self._waiting.values() if each.until < now]:
                self._turn_away(caller)

    def close(self) -> None:
        """Let nobody else in."""
        for caller in list(self._waiting.values()):
            self._turn_away(caller)
        self._selector.close()
        self._listener.close()

    def _greet(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        if len(self._waiting) >= _MOST_WAITING:
            self._turn_away(next(iter(self._waiting.values())))
        connection.setblocking(False)
        caller = _Caller(connection, secrets.token_bytes(_DRAWN), time.monotonic() + _PROOF_SECONDS)
        self._waiting[connection.fileno()] = caller
        self._selector.register(connection, selectors.EVENT_READ)
        try:
            connection.send(_GREETING.pack(_MARK, caller.drawn))  # an empty buffer has room for it
        except OSError:
            self._turn_away(caller)

    def _read(self, caller: _Caller) -> None:
        try:
            part = caller.connection.recv(_PROOF.size - len(caller.shown))
        except BlockingIOError:
            return
        except OSError:
            part = b""
        caller.shown += part
        if not part:
            self._turn_away(caller)
        elif len(caller.shown) == _PROOF.size:
            self._judge(caller)

    def _judge(self, caller: _Caller) -> None:
        number, drawn, proof = _PROOF.unpack(caller.shown)
        expected = _sum(self._token, b"node", number, caller.drawn, drawn)
        if not hmac.compare_digest(proof, expected) or number not in self.missing:
            self._turn_away(caller)
            return
        self._let_go(caller)
        channel = Channel(caller.connection, f"node {number + 1}", self._patience)
        try:
            caller.connection.sendall(_sum(self._token, b"first", number, drawn, caller.drawn))
        except OSError:
            channel.close()
            return
        self._inside[number] = channel

    def _turn_away(self, caller: _Caller) -> None:
        self._let_go(caller)
        caller.connection.close()

    def _let_go(self, caller: _Caller) -> None:
        self._selector.unregister(caller.connection)
        del self._waiting[caller.connection.fileno()]


def join(host: str, port: int, token: bytes, number: int, seconds: float) -> Channel:
    """Come to the gate of a run, and return the connection to its first node, which may be silent for any time.

    Args:
        host: where the gate is.
        port: of the gate.
        token: of the run.
        number: of this node, from 1.
        seconds: for how long to try.

    Raises:
        ShareLost: there is no gate, or not of this run.
    """
    until = time.monotonic() + seconds
    while True:
        try:
            return _join(host, port, token, number, max(0.1, until - time.monotonic()))
        except OSError as error:
            if time.monotonic() >= until:
                raise ShareLost(f"the first node at {host}:{port} does not let us in: {error}") from error
            time.sleep(_AGAIN_SECONDS)


def _join(host: str, port: int, token: bytes, number: int, seconds: float) -> Channel:
    connection = socket.create_connection((host, port), timeout=seconds)
    with contextlib.ExitStack() as undo:
        undo.callback(connection.close)
        mark, theirs = _GREETING.unpack(_exactly(connection, _GREETING.size))
        if mark != _MARK:
            raise ShareLost(f"what listens at {host}:{port} is no node of a run")
        drawn = secrets.token_bytes(_DRAWN)
        connection.sendall(_PROOF.pack(number, drawn, _sum(token, b"node", number, theirs, drawn)))
        proof = _exactly(connection, _SUM)
        if not hmac.compare_digest(proof, _sum(token, b"first", number, drawn, theirs)):
            raise ShareLost(f"the node at {host}:{port} is another run's")
        undo.pop_all()
    return Channel(connection, "the first node", None)


def _exactly(connection: socket.socket, size: int) -> bytes:
    read = bytearray()
    while len(read) < size:
        part = connection.recv(size - len(read))
        if not part:
            raise ConnectionResetError("the connection was closed")
        read += part
    return bytes(read)


def _sum(token: bytes, who: bytes, number: int, theirs: bytes, own: bytes) -> bytes:
    """Return what shows that one side has the token: over who it is, and what both have drawn."""
    return hmac.digest(token, who + number.to_bytes(4, "big") + theirs + own, "sha256")
