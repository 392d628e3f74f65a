"""What comes to the port of a run, or over its connections, is refused where it is not what has to come."""

from __future__ import annotations

import json
import socket
import struct
import threading
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

from engine.fast.nodes.channel import Channel, FrameError
from engine.fast.nodes.gate import Gate, join
from engine.fast.parallel.parts import ShareLost

TOKEN = bytes(range(32))
SECONDS = 60.0
HEAD = "!4s4sB3x4IQ"


@pytest.fixture
def ends() -> Iterator[tuple[Channel, socket.socket]]:
    """A channel, and the bare socket of its other side."""
    ours, theirs = socket.socketpair()
    channel = Channel(ours, "node 2", SECONDS)
    yield channel, theirs
    channel.close()
    theirs.close()


def head(mark: bytes, kind: bytes, shape: tuple[int, ...], size: int) -> bytes:
    return struct.pack(HEAD, mark, kind, len(shape), *shape, *[0] * (4 - len(shape)), size)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.zeros((0, 5), np.int64),
        np.arange(200_000, dtype=np.float64),
        np.arange(24, dtype=np.uint8).reshape(1, 2, 3, 4)[:, :, ::-1],
    ],
)
def test_arrays_and_documents_arrive_as_they_were(array: np.ndarray) -> None:
    ours, theirs = (Channel(each, "a node", SECONDS) for each in socket.socketpair())
    room = np.empty(array.shape, array.dtype)

    def read() -> None:
        assert theirs.receive() == {"a": [1, "ü"]}
        theirs.receive_array(room)

    reader = threading.Thread(target=read)
    reader.start()
    ours.send({"a": [1, "ü"]})
    ours.send_array(array)
    reader.join(SECONDS)
    np.testing.assert_array_equal(room, array)
    ours.close()
    with pytest.raises(ShareLost, match="a node is gone"):
        theirs.receive()
    theirs.close()


def test_one_who_takes_a_large_frame_slowly_is_not_taken_for_gone() -> None:
    patience = 0.5
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 14)
    array = np.arange(1 << 16, dtype=np.float64)
    channel = Channel(ours, "node 2", patience)
    pieces = 8
    taken = threading.Event()

    def take() -> None:
        left = struct.calcsize(HEAD) + array.nbytes
        piece = -(-left // pieces)
        while left:
            taken.wait(patience / 4)  # each piece in time, and all of them not
            for size in [min(piece, left)]:
                while size:
                    count = len(theirs.recv(size))
                    size, left = size - count, left - count

    reader = threading.Thread(target=take, daemon=True)
    reader.start()
    channel.send_array(array)
    reader.join(SECONDS)
    assert not reader.is_alive()
    channel.close()
    theirs.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: example.org\r\nUser-Agent: somebody\r\n\r\n",
        bytes(64),
        b"\xff" * 64,
        head(b"CVN1", b"<f4", (1 << 31, 1 << 31), (1 << 64) - 1),
        head(b"CVN1", b"<f4", (2, 4), 32),
        head(b"CVN1", b"<f8", (2, 3), 48),
        head(b"CVN1", b">f4", (2, 3), 24),
        head(b"CVN1", b"|O", (2, 3), 24),
        head(b"CVN1", b"<f4", (6,), 24),
        head(b"CVN1", b"<f4", (2, 3), 25),
        head(b"CVN1", b"json", (), 1 << 40),
        head(b"CVN1", b"json", (), 2) + b"{}",
        head(b"CVN1", b"json", (), 4) + b"null",
    ],
    ids=repr,
)
def test_a_frame_that_was_not_to_come_ends_the_connection_without_memory_for_it(
    ends: tuple[Channel, socket.socket], sent: bytes
) -> None:
    channel, theirs = ends
    room = np.zeros((2, 3), np.float32)
    theirs.sendall(sent)
    tracemalloc.start()
    try:
        with pytest.raises(FrameError, match="node 2 has sent"):
            channel.receive_array(room)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
    assert not room.any()
    assert read_to_the_end(theirs) == 0
    with pytest.raises(ShareLost):
        channel.send({})


def test_a_document_that_is_too_long_is_not_read(ends: tuple[Channel, socket.socket]) -> None:
    channel, theirs = ends
    theirs.sendall(head(b"CVN1", b"json", (), 1001) + b" " * 1001)
    with pytest.raises(FrameError, match="1001 bytes"):
        channel.receive(most=1000)


def test_deep_nesting_is_no_document(ends: tuple[Channel, socket.socket]) -> None:
    channel, theirs = ends
    deep = b'{"a":' + b"[" * 200_000
    threading.Thread(target=theirs.sendall, args=(head(b"CVN1", b"json", (), len(deep)) + deep,)).start()
    with pytest.raises(FrameError, match="no JSON object"):
        channel.receive()


@pytest.mark.parametrize(("said", "kind"), [("MemoryError: 3 GB", MemoryError), ("OSError: 5", ShareLost)])
def test_a_fault_of_the_other_side_is_ours(
    ends: tuple[Channel, socket.socket], said: str, kind: type[Exception]
) -> None:
    channel, theirs = ends
    content = json.dumps({"fault": said}).encode()
    theirs.sendall(head(b"CVN1", b"json", (), len(content)) + content)
    with pytest.raises(kind, match=f"node 2 failed: {said}"):
        channel.receive_array(np.zeros(3))


@pytest.fixture
def gate() -> Iterator[Gate]:
    """The gate of a run over three nodes."""
    gate = Gate("127.0.0.1", TOKEN, 3, SECONDS)
    yield gate
    gate.close()
    for channel in gate.channels:
        channel.close()


def coming(gate: Gate, number: int, token: bytes = TOKEN, seconds: float = SECONDS) -> threading.Thread:
    """Have a node come, and say something once it is in."""

    def come() -> None:
        channel = join("127.0.0.1", gate.port, token, number, seconds)
        channel.send({"number": number})
        channel.close()

    thread = threading.Thread(target=come)
    thread.start()
    return thread


def test_nodes_come_in_any_order_and_have_their_places(gate: Gate) -> None:
    late = coming(gate, 2)
    while 2 in gate.missing:
        gate.look(0.05)
    early = coming(gate, 1)
    gate.look(SECONDS)
    assert [channel.receive() for channel in gate.channels] == [{"number": 1}, {"number": 2}]
    for thread in (late, early):
        thread.join(SECONDS)


def test_whoever_does_not_have_the_token_is_let_go_of_and_keeps_nobody_out(gate: Gate) -> None:
    address = ("127.0.0.1", gate.port)
    looking = threading.Thread(target=gate.look, args=(3.0,))
    looking.start()
    silent = [socket.create_connection(address, SECONDS) for _ in range(70)]
    loud = socket.create_connection(address, SECONDS)
    loud.sendall(b"\xff" * 68)
    left = socket.create_connection(address, SECONDS)
    left.close()
    with pytest.raises(ShareLost, match="does not let us in"):
        join(*address, bytes(32), 1, 0.5)
    looking.join()
    assert gate.missing == [1, 2]
    assert read_to_the_end(loud) < 100
    nodes = [coming(gate, number) for number in (1, 2)]
    gate.look(SECONDS)
    assert not gate.missing
    gate.close()
    assert all(read_to_the_end(each) < 100 for each in silent)
    for thread in nodes:
        thread.join(SECONDS)
    with pytest.raises(OSError, match=r"[Rr]efused"):
        socket.create_connection(address, SECONDS)


def test_who_is_turned_away_for_another_may_still_have_said_something(gate: Gate) -> None:
    looking = threading.Thread(target=gate.look, args=(2.0,))
    looking.start()
    address = ("127.0.0.1", gate.port)
    first = [socket.create_connection(address, SECONDS) for _ in range(64)]
    for each in first:
        each.recv(100)
    looking.join()
    late = socket.create_connection(address, SECONDS)
    first[0].sendall(b"now")
    gate.look(0.3)
    assert read_to_the_end(first[0]) == 0
    assert late.recv(6) == b"CVNODE"
    for each in (*first, late):
        each.close()


def test_a_number_is_given_once(gate: Gate) -> None:
    coming(gate, 1).join(0.2)
    while 1 in gate.missing:
        gate.look(0.05)
    for number in (0, 1, 3):
        looking = threading.Thread(target=gate.look, args=(1.0,))
        looking.start()
        with pytest.raises(ShareLost, match="does not let us in"):
            join("127.0.0.1", gate.port, TOKEN, number, 0.3)
        looking.join()
    assert gate.missing == [2]


@pytest.mark.parametrize(("mark", "said"), [(b"CVNODE", "another run's"), (b"SSH-2.", "is no node")])
def test_who_else_listens_is_noticed(mark: bytes, said: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def pretend() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(mark + bytes(32))
                connection.recv(100)
                connection.sendall(bytes(32))

        other = threading.Thread(target=pretend)
        other.start()
        with pytest.raises(ShareLost, match=said):
            join(*listener.getsockname(), TOKEN, 1, SECONDS)
        other.join()


def read_to_the_end(connection: socket.socket) -> int:
    """Count what comes until the other side closes."""
    count = 0
    try:
        while part := connection.recv(4096):
            count += len(part)
    except ConnectionResetError:
        pass
    connection.close()
    return count
