"""Heads of requests: bounded whoever reads them, before anybody asks who is calling."""

import io
import json
import socket
from collections.abc import Iterator
from itertools import repeat
from urllib.parse import urlsplit

import pytest
from PIL import Image

PIECE = b"a" * 8192
GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
CHUNKS = (
    b"POST /v1/models/model_example/predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def connected(server: str) -> socket.socket:
    address = urlsplit(server)
    return socket.create_connection((address.hostname, address.port), timeout=20)


def sent_without_end(server: str, start: bytes, pieces: Iterator[bytes]) -> tuple[int, bytes]:
    """Send until the server closes; return how many bytes it let pass, and what it has answered."""
    sent, answer = 0, b""
    with connected(server) as connection:
        try:
            connection.sendall(start)
            for piece in pieces:
                connection.sendall(piece)
                sent += len(piece)
                assert sent < 64 << 20, "the head is taken without bound"
            while part := connection.recv(65536):
                answer += part
        except (ConnectionError, BrokenPipeError):
            pass
    return sent, answer


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"GET /", PIECE),
        (GET + b"X-Long: ", PIECE),
        (GET, b"X-Many: " + PIECE + b"\r\n"),
        (CHUNKS + b"1\r\n.\r\n0\r\n", b"X-Trailer: " + PIECE + b"\r\n"),
    ],
    ids=["path", "one header", "many headers", "trailers"],
)
def test_a_head_without_end_is_not_read_on(server: str, start: bytes, piece: bytes) -> None:
    sent_without_end(server, start, repeat(piece))
    with connected(server) as connection:  # and the others are answered
        connection.sendall(GET + b"Connection: close\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("end", [b"", b"\r\n\r\n"], ids=["not whole", "in one piece"])
def test_a_head_that_is_too_large_is_told_so(server: str, end: bytes) -> None:
    # a little more than is taken, then silence: what is not read would reset the connection
    _, answer = sent_without_end(server, GET + b"X-Long: " + b"a" * (65 * 1024) + end, iter(()))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 ")
    assert b"content-type: application/problem+json" in head
    assert json.loads(body)["type"] == "/problems/head-too-large"


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"FETCH /livez HTTP/1.1\r\nHost: localhost\r\n\r\n", 501, "unknown-method"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 501, "unknown-method"),  # a hello of TLS
        (b"GET /livez HTTP/1.1\r\nNo colon\r\n\r\n", 400, "malformed-request"),
        (b"GET /livez HTTX/9\r\n\r\n", 400, "malformed-request"),
        (CHUNKS + b"no number\r\n", 400, "malformed-request"),
    ],
    ids=["unknown method", "TLS", "header", "version", "chunk"],
)
def test_what_cannot_be_read_is_answered_as_any_problem(
    server: str, sent: bytes, status: int, code: str
) -> None:
    _, answer = sent_without_end(server, sent, iter(()))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"content-type: application/problem+json" in head
    assert json.loads(body)["type"] == f"/problems/{code}"
    assert json.loads(body)["status"] == status


def test_a_head_of_nearly_the_most_is_read_and_bodies_are_not_counted(server: str) -> None:
    with connected(server) as connection:
        for _ in range(3):  # each anew, on one connection
            connection.sendall(GET + b"X-Long: " + b"a" * (60 * 1024) + b"\r\n\r\n")
            answer = b""
            while not answer.endswith(b'{"status":"ok"}'):
                answer += connection.recv(65536)
        connection.sendall(CHUNKS.replace(b"\r\n\r\n", b"\r\nContent-Type: image/png\r\n\r\n"))
        for _ in range(30):
            connection.sendall(b"2000\r\n" + PIECE + b"\r\n")
        connection.sendall(b"0\r\n\r\n")
        assert b"/problems/head-too-large" not in connection.recv(65536)


@pytest.mark.parametrize("offer", [b"h2c", b"websocket"])
@pytest.mark.parametrize("framing", ["length", "chunks"])
@pytest.mark.parametrize("apart", [False, True])
def test_an_offer_of_another_protocol_is_passed_over_and_the_body_is_read(
    server: str, offer: bytes, framing: str, apart: bool
) -> None:
    picture = io.BytesIO()
    Image.new("L", (28, 28)).save(picture, "PNG")
    body = picture.getvalue()
    said = b"Content-Length: %d\r\n" % len(body)
    if framing == "chunks":
        said, body = b"Transfer-Encoding: chunked\r\n", b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    head = (
        b"POST /v1/models/model_example/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
        b"Connection: Upgrade\r\nUpgrade: %b\r\n%b\r\n" % (offer, said)
    )
    with connected(server) as connection:
        for _ in range(2):  # the connection stays open
            for piece in (head, body) if apart else (head + body,):
                connection.sendall(piece)
            answer = b""
            while b"\r\n\r\n" not in answer or not answer.endswith(b"}"):
                answer += connection.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200"), answer
        connection.sendall(GET + b"Connection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
