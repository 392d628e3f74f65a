"""Calls to addresses that callers have named: which are refused, and that none lasts long."""

from __future__ import annotations

import base64
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.ids import JOB, new_id
from app.jobs.kinds import TRAINING
from app.jobs.outgoing import Forbidden, NotSent, is_public, post
from app.jobs.webhooks import ATTEMPTS, WebhookSender
from app.settings import Settings
from app.store import Store
from app.store.records import JobRecord, now


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),  # noqa: S104
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:10.0.0.1", False),
        ("2002:7f00:1::", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("64:ff9b::5db8:d70e", True),
    ],
)
def test_addresses_of_the_public_internet(address: str, public: bool) -> None:
    assert is_public(address) is public


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


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "0", "127.1", "0x7f000001"])
def test_a_name_is_judged_by_what_it_resolves_to(host: str) -> None:
    with listening(b"HTTP/1.1 204 \r\n\r\n") as port, pytest.raises(Forbidden, match="public internet"):
        post(f"http://{host}:{port}/", b"{}", {}, seconds=30.0)


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
    webhooks = WebhookSender(store, settings)
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
