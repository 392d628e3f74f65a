"""Server-sent events of a training job: whole, in order, resumable, and gone with their reader."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from app.cli.launch import ServerProcess

JOBS = "/v1/training-jobs"
TINY: dict[str, Any] = {
    "input_shape": [28, 28, 1],
    "layers": [{"type": "max_pool2d", "pool_size": 4}, {"type": "flatten"}, {"type": "dense", "units": 10}],
}

Connect = Callable[..., httpx.Client]
WaitFor = Callable[..., Any]


class Event(NamedTuple):
    """One event of a stream."""

    kind: str
    id: str | None
    data: dict[str, Any]


def read(lines: Iterator[str]) -> Iterator[Event]:
    fields: dict[str, str] = {}
    for line in lines:
        if line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value
        elif not line:
            if "data" in fields:
                yield Event(fields["event"], fields.get("id"), json.loads(fields["data"]))
            fields = {}


def submit(http: httpx.Client, **changes: Any) -> str:
    body = {"architecture": TINY, "dataset": "digits", "epochs": 3, "batch_size": 200, **changes}
    answer = http.post(JOBS, json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def follow(http: httpx.Client, job_id: str, last: str | None = None) -> list[Event]:
    headers = {} if last is None else {"Last-Event-ID": last}
    with http.stream("GET", f"{JOBS}/{job_id}/events", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        return list(read(answer.iter_lines()))


def lasting(events: list[Event]) -> list[Event]:
    return [event for event in events if event.id is not None]


def sockets(pid: int) -> int:
    """Count the open sockets of a process."""
    found = 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found += str(entry.readlink()).startswith("socket:")
        except OSError:
            continue
    return found


def test_from_the_beginning_to_the_end(http: httpx.Client) -> None:
    job_id = submit(http)
    events = follow(http, job_id)
    job = http.get(f"{JOBS}/{job_id}").json()
    whole = lasting(events)
    assert [event.id for event in whole] == [str(number) for number in range(1, len(whole) + 1)]
    assert [event.kind for event in whole] == ["status", "status", "epoch", "epoch", "epoch", "status", "end"]
    assert [event.data["status"] for event in whole if event.kind == "status"] == [
        "queued",
        "running",
        "succeeded",
    ]
    epochs = [event.data for event in whole if event.kind == "epoch"]
    assert epochs == http.get(f"{JOBS}/{job_id}/metrics").json()["data"]
    assert whole[-1].data == {
        "status": "succeeded",
        "model_id": job["model_id"],
        "error": None,
        "at": job["finished_at"],
    }
    assert events[-1].kind == "end"
    progress = [event for event in events if event.kind == "progress"]
    assert progress
    assert {event.id for event in progress} == {None}

    assert lasting(follow(http, job_id)) == whole
    for event in whole[:-1]:
        assert follow(http, job_id, event.id) == whole[int(event.id or 0) :]
    over = http.get(f"{JOBS}/{job_id}/events", headers={"Last-Event-ID": whole[-1].id or ""})
    assert (over.status_code, over.content) == (204, b"")


def test_what_cannot_be_followed(http: httpx.Client) -> None:
    assert http.get(f"{JOBS}/job_gone/events").status_code == 404
    wrong = http.get(f"{JOBS}/job_example/events", headers={"Last-Event-ID": "seven"})
    assert wrong.status_code == 422
    assert [fault["parameter"] for fault in wrong.json()["errors"]] == ["Last-Event-ID"]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux shows it")
def test_many_readers_that_leave_resume_and_are_sent_home(
    start: Callable[..., ServerProcess], connect: Connect, wait_for: WaitFor, leaves: Callable[..., None]
) -> None:
    service = start()
    with connect(service.start()) as http:
        job_id = submit(http, epochs=100_000)
        seen: list[Event] = []
        before = sockets(service.pid)
        with ExitStack() as readers:
            streams = []
            for _ in range(40):
                client = readers.enter_context(connect(str(http.base_url)))
                answer = readers.enter_context(client.stream("GET", f"{JOBS}/{job_id}/events"))
                streams.append(read(answer.iter_lines()))
                seen = [next(streams[-1]), next(streams[-1])]
            assert sockets(service.pid) >= before + 40
            while len(lasting(seen)) < 4:
                seen.append(next(streams[-1]))
            since = time.monotonic()
            assert http.get("/livez").status_code == 200
            assert time.monotonic() - since < 5
        # They have gone without a word, and nothing is left of them.
        wait_for(lambda: sockets(service.pid) <= before, "the end of the connections")

        last = lasting(seen)[-1].id
        assert last is not None
        with http.stream("GET", f"{JOBS}/{job_id}/events", headers={"Last-Event-ID": last}) as answer:
            events = read(answer.iter_lines())
            more = [next(events)]
            while not lasting(more):
                more.append(next(events))
            assert lasting(more)[0].id == str(int(last) + 1)
            os.kill(service.pid, signal.SIGTERM)
            rest = list(events)  # ends, and without breaking off
            assert "end" not in {event.kind for event in rest}
            last = lasting([*more, *rest])[-1].id
        leaves(service)
    # Another server goes on with the same stream.
    with connect(service.start()) as http:
        with http.stream("GET", f"{JOBS}/{job_id}/events", headers={"Last-Event-ID": last or ""}) as answer:
            events = read(answer.iter_lines())
            first = next(event for event in events if event.id is not None)
            assert first.id == str(int(last or 0) + 1)
            assert http.post(f"{JOBS}/{job_id}/cancel").status_code == 202
            rest = lasting([first, *events])
        assert [event.id for event in rest] == [
            str(number) for number in range(int(first.id), int(first.id) + len(rest))
        ]
        assert rest[-1].data["status"] == "cancelled"
        waiting = submit(http, epochs=100_000)
        deleted = submit(http)
        with http.stream("GET", f"{JOBS}/{deleted}/events") as answer:
            events = read(answer.iter_lines())
            assert next(events).data["status"] == "queued"
            assert http.delete(f"{JOBS}/{deleted}").status_code == 204
            assert [event.data["status"] for event in events if event.kind == "end"] == ["cancelled"]
        assert http.post(f"{JOBS}/{waiting}/cancel").status_code == 202
