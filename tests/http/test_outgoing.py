"""Calls to addresses that callers have named: which are refused, and that none lasts long."""

from __future__ import annotations

import base64
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import ip_addresses

from app.hosts import is_public
from app.ids import JOB, new_id
from app.jobs.kinds import TRAINING
from app.jobs.outgoing import Forbidden, NotSent, post
from app.jobs.webhooks import ATTEMPTS, WebhookSender
from app.settings import Settings
from app.store import Store
from app.store.records import JobRecord, now

PUBLIC = (
    "93.184.215.14",
    "1.1.1.1",
    "100.63.255.255",
    "100.128.0.1",
    "172.15.255.255",
    "172.32.0.1",
    "192.0.1.1",
    "198.17.255.255",
    "198.20.0.1",
    "223.255.255.255",
    "2606:2800:21f:cb07:6820:80da:af6b:8b2c",
    "2001:200::1",
    "2620:4f:8000::1",
    "::ffff:93.184.215.14",
    "64:ff9b::5db8:d70e",
    "2606:2800::5efe:93.184.215.14",
)
NOT_PUBLIC = (
    # IPv4, by https://www.iana.org/assignments/iana-ipv4-special-registry: both ends of each range
    *("0.0.0.0", "0.255.255.255"),  # noqa: S104 - nothing is bound
    *("10.0.0.0", "10.255.255.255"),
    *("100.64.0.0", "100.127.255.255"),
    *("127.0.0.1", "127.255.255.254"),
    *("169.254.0.0", "169.254.169.254", "169.254.255.255"),
    *("172.16.0.0", "172.31.255.255"),
    *("192.0.0.0", "192.0.0.8", "192.0.0.9", "192.0.0.170", "192.0.0.255"),
    *("192.0.2.0", "192.0.2.255"),
    *("192.88.99.0", "192.88.99.1", "192.88.99.255"),
    *("192.168.0.0", "192.168.255.255"),
    *("198.18.0.0", "198.19.255.255"),
    *("198.51.100.0", "198.51.100.255"),
    *("203.0.113.0", "203.0.113.255"),
    *("224.0.0.1", "239.255.255.255"),
    *("240.0.0.1", "255.255.255.255"),
    # IPv6, by https://www.iana.org/assignments/iana-ipv6-special-registry
    *("::", "::1"),
    *("100::1", "100:0:0:1::1"),
    *("2001::1", "2001:0:5db8:d70e::1"),  # Teredo
    *("2001:1::1", "2001:2::1", "2001:3::1", "2001:4:112::1", "2001:10::1", "2001:20::1", "2001:30::1"),
    "2001:db8::1",
    *("2002:7f00:1::", "2002:a00:1::1", "2002:5db8:d70e::1"),  # 6to4, whatever is inside
    *("3fff::1", "3fff:fff:ffff::1"),
    "5f00::1",
    *("fc00::1", "fd00::1", "fdff:ffff::1"),
    *("fe80::1", "fe80::1%eth0", "febf::1", "fec0::1"),
    *("ff02::1", "ff0e::1"),
    *("4000::1", "8000::1", "e000::1"),  # not assigned
    # IPv4 inside of IPv6
    *("::ffff:10.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:0:10.0.0.1"),
    *("::10.0.0.1", "::127.0.0.1", "::93.184.215.14"),
    *("64:ff9b::a9fe:a9fe", "64:ff9b::10.0.0.1", "64:ff9b:1::5db8:d70e", "64:ff9b:1:fffe::10.0.0.1"),
    *("2606:2800::5efe:10.0.0.1", "2606:2800::200:5efe:192.168.0.1"),  # ISATAP
    # no addresses
    *("", "localhost", "10.0.0.1/8", "1", "0x7f.1", "1.2.3", "::1::", "93.184.215.14%eth0"),
)


@pytest.mark.parametrize("address", PUBLIC)
def test_addresses_of_the_public_internet(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_addresses_that_are_not_or_only_pass_for_it(address: str) -> None:
    assert not is_public(address)


@given(ip_addresses(v=4))
def test_an_address_inside_of_another_is_judged_as_it_is_by_itself(inner: IPv4Address) -> None:
    for outer in (f"::ffff:{inner}", f"64:ff9b::{inner}", f"2606:2800::5efe:{inner}"):
        assert is_public(outer) is is_public(str(inner))
    assert not is_public(f"::{inner}")
    assert is_public(str(inner)) <= inner.is_global


@contextmanager
def listening(answer: bytes, pause: float = 0.0) -> Iterator[int]:
    """Accept one connection and answer it byte by byte; yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        over = threading.Event()

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                received = b""
                # to the end of the body: a connection that is closed with a part unread is reset
                while not received.endswith(b"{}") and (part := connection.recv(1 << 16)):
                    received += part
                for byte in answer:
                    if over.wait(pause):
                        return
                    try:
                        connection.send(bytes([byte]))
                    except OSError:
                        return

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            over.set()
            # Whoever was not called waits for a connection.
            socket.create_connection(server.getsockname()).close()
            thread.join()


def test_an_answer_that_trickles_in_is_not_waited_for() -> None:
    with listening(b"HTTP/1.1 204 " + b"x" * 10_000, pause=0.1) as port:
        began = time.monotonic()
        with pytest.raises(NotSent, match="no answer within 1 s"):
            post(f"http://127.0.0.1:{port}/", b"{}", {}, seconds=1.0, allow_private=True)
        # It would go on for a quarter of an hour.
        assert time.monotonic() - began < 100


def test_what_answers_in_another_language_has_not_listened() -> None:
    with listening(b"220 mail.example.org ESMTP\r\n") as port, pytest.raises(NotSent, match="Protocol"):
        post(f"http://127.0.0.1:{port}/", b"{}", {}, seconds=30.0, allow_private=True)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "127.0.0.1",
        "[::1]",
        "0",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.01",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
    ],
)
def test_a_name_is_judged_by_what_it_resolves_to(host: str) -> None:
    with listening(b"HTTP/1.1 204 \r\n\r\n") as port, pytest.raises(Forbidden, match="public internet"):
        post(f"http://{host}:{port}/", b"{}", {}, seconds=30.0)


class Names:
    """A resolver of one's own in place of the system's."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = answers
        self.asked = 0

    def getaddrinfo(self, host: str, port: int, **_: Any) -> list[Any]:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return [
            (
                socket.AF_INET6 if ":" in address else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (address, port),
            )
            for address in answer
        ]


@pytest.mark.parametrize(
    "addresses",
    [
        ["10.0.0.1"],
        ["93.184.215.14", "10.0.0.1"],
        ["10.0.0.1", "93.184.215.14"],
        ["93.184.215.14", "fe80::1%eth0"],
        ["2606:2800::1", "::ffff:169.254.169.254"],
    ],
)
def test_all_addresses_of_a_name_are_public_or_none_is_called(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Names(addresses).getaddrinfo)
    monkeypatch.setattr(socket, "create_connection", unexpected)
    with pytest.raises(Forbidden) as refused:
        post("http://hooks.example/", b"{}", {}, seconds=30.0)
    # callers do not learn what the names of this network stand for
    assert not any(address in str(refused.value) for address in addresses)


def unexpected(*_: Any, **__: Any) -> None:
    raise AssertionError("somebody was called")


def test_what_was_looked_at_is_what_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    # at a second look it would be this machine
    names = Names(["93.184.215.14"], ["127.0.0.1"])
    called: list[tuple[str, int]] = []

    def connect(address: tuple[str, int], *_: Any, **__: Any) -> socket.socket:
        called.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", names.getaddrinfo)
    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(NotSent):
        post("http://hooks.example:8080/", b"{}", {}, seconds=30.0)
    assert called == [("93.184.215.14", 8080)]
    assert names.asked == 1


def test_a_name_that_resolves_slowly_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def slow(*_: Any, **__: Any) -> list[Any]:
        over.wait()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    try:
        # more than may be waited for at once: those are refused, too, instead of taking ever more threads
        for _ in range(20):
            with pytest.raises(NotSent, match=r"not resolved in time|no answer within"):
                post("http://slow.example/", b"{}", {}, seconds=0.01)
        assert sum(thread.name == "resolve" for thread in threading.enumerate()) <= 16
    finally:
        over.set()
    for thread in threading.enumerate():
        if thread.name == "resolve":
            thread.join(60)
    monkeypatch.undo()
    with pytest.raises(Forbidden):
        post("http://localhost/", b"{}", {}, seconds=30.0)


def test_a_redirect_is_not_followed() -> None:
    with listening(b"HTTP/1.1 307 \r\nLocation: http://127.0.0.1:1/\r\n\r\n") as port:
        assert post(f"http://127.0.0.1:{port}/", b"{}", {}, seconds=30.0, allow_private=True) == 307


@pytest.mark.parametrize(
    "url", ["http://no-such-host.invalid/", "http://127.0.0.1:1/", "https://127.0.0.1:1/"]
)
def test_nobody_there(url: str) -> None:
    with pytest.raises(NotSent):
        post(url, b"{}", {}, seconds=10.0, allow_private=True)


def test_a_message_that_nobody_takes_is_given_up(tmp_path: Path) -> None:
    secret = base64.b64encode(bytes(32)).decode()
    settings = Settings(data_dir=tmp_path, webhook_secret=secret, webhook_private=True)
    store = Store(tmp_path)
    store.migrate()
    job = JobRecord(new_id(JOB), TRAINING.name, {}, webhook_url="http://127.0.0.1:1/nobody")
    store.jobs.create(job)
    assert store.deliveries.due(10) == ()
    store.jobs.request_cancel(job.id)
    (message,) = store.deliveries.due(10)
    for _ in range(ATTEMPTS - 1):
        store.deliveries.attempted(message.id, "pending", error="nobody there", due_at=now())
    webhooks = WebhookSender(store, settings, lambda: settings.webhook_key)
    webhooks.start()
    limit = time.monotonic() + 60
    while store.deliveries.of([job.id])[job.id].status == "pending":
        assert time.monotonic() < limit
        time.sleep(0.05)
    webhooks.stop()
    given_up = store.deliveries.of([job.id])[job.id]
    assert (given_up.status, given_up.attempts) == ("failed", ATTEMPTS)
    assert given_up.error
    # It goes with its job.
    store.jobs.delete(job.id)
    assert store.deliveries.of([job.id]) == {}
    store.close()


def test_a_message_outlives_its_job_until_it_is_sent(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.migrate()
    job = JobRecord(new_id(JOB), TRAINING.name, {}, webhook_url="https://example.org/")
    store.jobs.create(job)
    store.jobs.request_cancel(job.id)
    store.jobs.delete(job.id)
    (message,) = store.deliveries.due(10)
    assert '"status":"cancelled"' in message.body
    store.deliveries.attempted(message.id, "delivered")
    assert store.deliveries.of([job.id]) == {}
    store.close()
