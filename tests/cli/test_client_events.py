"""Events through connections that break: none is lost, none comes twice."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import pytest

from app.client import AsyncClient, Client, ConvserveError, Event

TINY = {
    "input_shape": [28, 28, 1],
    "layers": [{"type": "max_pool2d", "pool_size": 4}, {"type": "flatten"}, {"type": "dense", "units": 10}],
}


class Wire:
    """A way to the service that can be cut."""

    def __init__(self, target: str) -> None:
        place = urlsplit(target)
        self._target = (place.hostname or "", place.port or 0)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            far = socket.create_connection(self._target)
            with self._lock:
                self._open += [near, far]
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(4096):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        """Break what goes over it now."""
        with self._lock:
            broken, self._open = self._open, []
        for end in broken:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def remove(self) -> None:
        """Break it for good."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()
        self.cut()


@pytest.fixture
def wire(server: str) -> Iterator[Wire]:
    made = Wire(server)
    yield made
    made.remove()


@pytest.fixture
def job(server: str) -> Iterator[str]:
    """A training job that goes on until somebody ends it."""
    with Client(server) as client:
        made = client.training_jobs.create(TINY, "digits", epochs=100_000, batch_size=200)
        yield made.id
        with suppress(ConvserveError):
            client.training_jobs.cancel(made.id)
        for _ in client.training_jobs.watch(made.id):
            pass


class Reader:
    """Breaks the wire twice on the way, then has the job cancelled."""

    def __init__(self, server: str, wire: Wire, job: str) -> None:
        self._server, self._wire, self._job = server, wire, job
        self._epochs = 0
        self.events: list[Event] = []

    def take(self, event: Event) -> None:
        self.events.append(event)
        if event.kind == "epoch":
            self._epochs += 1
            if self._epochs in (2, 4):
                self._wire.cut()
            elif self._epochs == 6:
                with Client(self._server) as client:
                    client.training_jobs.cancel(self._job)

    def check(self) -> None:
        lasting = [event for event in self.events if event.kind != "progress"]
        assert [event.id for event in lasting] == list(range(1, len(lasting) + 1))
        epochs = [event.data["epoch"] for event in lasting if event.kind == "epoch"]
        assert epochs == list(range(1, len(epochs) + 1))
        assert (lasting[-1].kind, lasting[-1].data["status"]) == ("end", "cancelled")


def test_nothing_is_lost_when_the_connection_breaks(server: str, wire: Wire, job: str) -> None:
    reader = Reader(server, wire, job)
    with Client(wire.url) as client:
        for event in client.training_jobs.events(job):
            reader.take(event)
    reader.check()


def test_nothing_is_lost_for_who_awaits(server: str, wire: Wire, job: str) -> None:
    reader = Reader(server, wire, job)

    async def read() -> None:
        async with AsyncClient(wire.url) as client:
            async for event in client.training_jobs.events(job):
                reader.take(event)

    asyncio.run(read())
    reader.check()


def test_patience_comes_to_an_end(wire: Wire, job: str) -> None:
    with Client(wire.url) as client:
        events = client.training_jobs.events(job, patience=0.1)
        assert next(events).data["status"] == "queued"
        wire.remove()
        with pytest.raises(ConvserveError, match="cannot reach") as caught:
            list(events)
    assert caught.value.status is None

    async def read() -> list[Any]:
        async with AsyncClient(wire.url) as client:
            awaited: AsyncIterator[Event] = client.training_jobs.events(job, patience=0.0)
            return [event async for event in awaited]

    with pytest.raises(ConvserveError, match="cannot reach"):
        asyncio.run(read())


def test_what_cannot_be_followed_is_said_at_once(server: str) -> None:
    with Client(server) as client, pytest.raises(ConvserveError) as caught:
        list(client.training_jobs.events("job_gone"))
    assert caught.value.status == 404


def test_all_jobs_are_followed_over_a_wire_that_breaks(server: str, wire: Wire, job: str) -> None:
    events: list[Event] = []
    with Client(wire.url) as client, Client(server) as sure:
        other = sure.training_jobs.create(TINY, "digits", epochs=1, batch_size=200).id
        for event in client.events(jobs=[job, other]):
            events.append(event)
            epochs = [one for one in events if one.kind == "epoch" and one.data["job_id"] == job]
            if event.kind == "epoch" and len(epochs) in (2, 4):
                wire.cut()
            elif event.kind == "epoch" and len(epochs) == 6:
                sure.training_jobs.cancel(job)
                sure.training_jobs.cancel(other) if sure.training_jobs.get(other).status == "queued" else None
        last = max(event.id or 0 for event in events)
        assert list(client.events(jobs=[job, other], after=last)) == []
    lasting = [event.id for event in events if event.id is not None]
    assert lasting == sorted(set(lasting))
    whole = [event for event in events if event.kind != "progress" and event.data["job_id"] == job]
    epochs = [event.data["epoch"] for event in whole if event.kind == "epoch"]
    assert epochs == list(range(1, len(epochs) + 1))
    assert (whole[-1].kind, whole[-1].data["status"]) == ("end", "cancelled")
    assert [event.kind for event in events if event.data.get("job_id") == other][-1] == "end"


def test_whoever_follows_everything_is_told_of_what_begins_then(server: str, wire: Wire) -> None:
    with Client(wire.url) as client, Client(server) as sure:
        events = client.events(kinds=["training"])
        first = sure.training_jobs.create(TINY, "digits", epochs=100_000, batch_size=200).id
        told = []
        for event in events:
            if event.data.get("job_id") == first:
                told.append(event)
                if event.kind == "epoch" and event.data["epoch"] == 1:
                    wire.cut()
                    sure.training_jobs.cancel(first)
                if event.kind == "end":
                    break
    assert told[-1].data["kind"] == "training"
