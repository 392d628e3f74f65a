"""What the nodes of a run say to one another: documents and arrays, each in a frame, over a socket.

The head of a frame says what follows: a document (JSON), or numbers of one type and shape. Whoever reads knows what has
to come and has the memory for it; a head that says anything else ends the connection before anything is made of it.
Nothing is pickled.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from engine.arrays import Array
from engine.fast.parallel.parts import ShareLost

_HEAD = struct.Struct("!4s4sB3x4IQ")
"""Mark, type of the numbers, number of axes, length of each, bytes that follow."""
_MARK = b"CVN1"
_DOCUMENT = b"json"
_MOST_AXES = 4
MOST_DOCUMENT = 64 << 20
"""Bytes of a document: a network of the largest size that is accepted is far smaller."""
MOST_WORDS = 1 << 16
"""The same of one that says why there are no numbers."""
_JOINED = 1 << 16
"""Frames up to this size go out in one piece."""
_IDLE_SECONDS, _PROBE_SECONDS, _PROBES = 10, 5, 3
"""When the system asks a silent machine whether it is there, how often, and how many times until it is not."""


class FrameError(ShareLost):
    """The other side has sent what it should not have."""


class Channel:
    """A connection to another node; `close` ends it. What fails ends it too, for nobody would know what comes next."""

    def __init__(self, connection: socket.socket, name: str, patience: float | None) -> None:
        """Take over a connection.

        Args:
            connection: to the other node.
            name: of the other node, for messages.
            patience: for how many seconds nothing may come, or be taken, while something is waited for.
        """
        self._socket, self._name, self._patience = connection, name, patience
        connection.settimeout(patience)
        with contextlib.suppress(OSError):  # those of a test are no TCP
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _keep_alive(connection)

    def close(self) -> None:
        """End the connection; the other side notices."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def send(self, document: Mapping[str, Any]) -> None:
        """Send a document.

        Raises:
            ShareLost: the other side is gone, or does not take it.
        """
        self._send(_DOCUMENT, (), json.dumps(document).encode())

    def send_array(self, array: Array) -> None:
        """Send an array of up to four axes.

        Raises:
            ShareLost: as `send` does.
        """
        numbers = np.ascontiguousarray(array)
        self._send(_type(numbers), array.shape, _bytes(numbers))

    def receive(self, most: int = MOST_DOCUMENT) -> dict[str, Any]:
        """Wait for a document.

        Args:
            most: how many bytes it may have.

        Raises:
            FrameError: something else comes.
            ShareLost: the other side is gone, or says nothing.
            MemoryError: the other side is out of memory.
        """
        kind, shape, size = self._head()
        if kind != _DOCUMENT or shape or size > most:
            raise self._refuse(f"a frame of {size} bytes, where a document of at most {most} was to come")
        return self._document(size)

    def receive_array(self, room: Array) -> None:
        """Wait for an array of the type and shape of `room`, and put it there.

        Raises:
            FrameError, ShareLost, MemoryError: as `receive` does.
        """
        kind, shape, size = self._head()
        if kind == _DOCUMENT and not shape and size <= MOST_WORDS:
            # what it could not compute
            self._document(size)
            raise self._refuse("a document, where numbers were to come")
        if (kind, shape, size) != (_type(room), room.shape, room.nbytes):
            raise self._refuse(
                f"{size} bytes of {shape}, where {room.nbytes} of {room.dtype} {room.shape} were to come"
            )
        if not room.flags.c_contiguous:
            raise ValueError("an array is received into memory in one run")
        self._fill(_bytes(room))

    def _send(self, kind: bytes, shape: tuple[int, ...], content: bytes | memoryview) -> None:
        lengths = (*shape, *(0 for _ in range(_MOST_AXES - len(shape))))
        head = _HEAD.pack(_MARK, kind, len(shape), *lengths, len(content))
        try:
            if len(content) <= _JOINED:
                self._put(head + content)
            else:
                self._put(head)
                self._put(content)
        except OSError as error:
            raise self._lost(error) from error

    def _put(self, content: bytes | memoryview) -> None:
        """Write all of it; the patience is for each piece that is taken, as in reading, and not for the whole."""
        left = memoryview(content)
        while left:
            left = left[self._socket.send(left) :]

    def _head(self) -> tuple[bytes, tuple[int, ...], int]:
        head = bytearray(_HEAD.size)
        self._fill(memoryview(head))
        mark, kind, axes, *lengths, size = _HEAD.unpack(head)
        if mark != _MARK or axes > _MOST_AXES:
            raise self._refuse("what is no frame")
        return kind.rstrip(b"\0"), tuple(lengths[:axes]), size

    def _document(self, size: int) -> dict[str, Any]:
        content = bytearray(size)
        self._fill(memoryview(content))
        try:
            document = json.loads(content)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise self._refuse("a document that is no JSON object")
        fault = document.get("fault")
        if fault is not None:
            self.close()
            kind = MemoryError if str(fault).startswith(MemoryError.__name__) else ShareLost
            raise kind(f"{self._name} failed: {fault}")
        return document

    def _fill(self, room: memoryview) -> None:
        """Read until `room` is full."""
        done = 0
        try:
            while done < len(room):
                count = self._socket.recv_into(room[done:])
                if not count:
                    raise ConnectionResetError("the connection was closed")
                done += count
        except OSError as error:
            raise self._lost(error) from error

    def _lost(self, error: OSError) -> ShareLost:
        self.close()
        if isinstance(error, TimeoutError):
            return ShareLost(f"{self._name} gave no sign of life for {self._patience} seconds")
        return ShareLost(f"{self._name} is gone: {error}")

    def _refuse(self, what: str) -> FrameError:
        self.close()
        return FrameError(f"{self._name} has sent {what}")


def _type(array: Array) -> bytes:
    """Return how the numbers of an array are written, such as <f4, with the order of their bytes."""
    return array.dtype.str.encode()


def _bytes(array: Array) -> memoryview:
    """Return the memory of an array in one run."""
    return array.reshape(-1).view(np.uint8).data


def _keep_alive(connection: socket.socket) -> None:
    """Have the system notice when the other machine is gone, though nothing is sent."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = {
        "TCP_KEEPIDLE": _IDLE_SECONDS,
        "TCP_KEEPINTVL": _PROBE_SECONDS,
        "TCP_KEEPCNT": _PROBES,
    }
    for name, value in options.items():
        if hasattr(socket, name):
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
