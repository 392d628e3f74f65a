"""One stream of events for all jobs: whole, in order, with the job of each, resumable, also from another process."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from app.cli.launch import ServerProcess
from tests.http.several import LONG, Connect, WaitFor, pictures
from tests.http.several import submit as submit_to_several
from tests.http.test_job_events import Event, lasting, read, submit

EVENTS = "/v1/events"


class Follower:
    """Reads a stream in a thread of its own, until it ends."""

    def __init__(self, url: str, **params: Any) -> None:
        self.events: list[Event] = []
        self.ids: list[str] = []
        self.broken: Exception | None = None
        self.open = threading.Event()
        self._params = params
        self._url = url
        self._thread = threading.Thread(target=self._read, daemon=True)

    def start(self) -> Follower:
        self._thread.start()
        assert self.open.wait(120)
        return self

    def _read(self) -> None:
        params = httpx.QueryParams(
            [(name, one) for name, values in self._params.items() for one in values if name != "headers"]
        )
        try:
            with httpx.stream(
                "GET",
                f"{self._url}{EVENTS}",
                params=params,
                headers=self._params.get("headers"),
                timeout=120,
                trust_env=False,
            ) as answer:
                assert answer.status_code == 200
                self.open.set()
                for event in read(self._seen(answer.iter_lines())):
                    self.events.append(event)
        except Exception as error:
            self.broken = error
            self.open.set()

    def _seen(self, lines: Iterator[str]) -> Iterator[str]:
        for line in lines:
            if line.startswith("id: "):
                self.ids.append(line.removeprefix("id: "))
            yield line

    def of(self, job_id: str) -> list[Event]:
        """Return the events of one job so far."""
        return [event for event in lasting(self.events) if event.data.get("job_id") == job_id]

    def ended(self, *job_ids: str) -> bool:
        return all(self.of(job_id)[-1:] and self.of(job_id)[-1].kind == "end" for job_id in job_ids)

    def join(self) -> None:
        self._thread.join(120)
        assert not self._thread.is_alive()
        assert self.broken is None


def test_jobs_of_all_kinds_come_in_one_stream(server: str, http: httpx.Client, wait_for: WaitFor) -> None:
    everything = Follower(server).start()
    evaluations = Follower(server, kind=["evaluation", "batch_prediction"]).start()
    trained = submit(http)
    evaluated = http.post("/v1/evaluations", json={"model": "model_example", "dataset": "digits"}).json()[
        "id"
    ]
    predicted = http.post(
        "/v1/batch-predictions", data={"model": "model_example"}, files={"file": ("a.zip", pictures())}
    ).json()["id"]
    uploaded = http.post(
        "/v1/datasets", data={"name": "events"}, files={"file": ("a.zip", pictures())}
    ).json()["id"]
    jobs = {trained: "training", evaluated: "evaluation", predicted: "batch_prediction"}
    wait_for(lambda: everything.ended(*jobs), "the ends of all")

    def of_upload() -> list[Event]:
        return [event for event in lasting(everything.events) if event.data.get("dataset_id") == uploaded]

    wait_for(lambda: of_upload() and of_upload()[-1].kind == "end", "the end of the upload")
    for job_id, kind in jobs.items():
        told = everything.of(job_id)
        assert {event.data["kind"] for event in told} == {kind}
        states = [event.data["status"] for event in told if event.kind == "status"]
        assert (states[0], states[-1]) == ("queued", "succeeded")
        assert told[-1].data["status"] == "succeeded"
    assert [event.data["kind"] for event in of_upload()] == ["ingestion"] * 4
    assert [event.data["status"] for event in of_upload()] == ["queued", "running", "succeeded", "succeeded"]
    assert [event.data["epoch"] for event in everything.of(trained) if event.kind == "epoch"] == [1, 2, 3]
    assert {event.data["dataset_id"] for event in everything.of(trained)} == {"digits"}
    progress = [event for event in everything.events if event.kind == "progress"]
    assert {event.id for event in progress} <= {None}
    assert all(event.data["job_id"] and event.data["kind"] for event in progress)
    numbers = [int(event.id or 0) for event in lasting(everything.events) if event.kind != "changed"]
    assert numbers == sorted(set(numbers))

    # a data set and a model have been made
    def lists() -> set[str]:
        told = [event for event in everything.events if event.kind == "changed"]
        return {name for event in told for name in event.data["lists"]}

    wait_for(lambda: {"datasets", "models"} <= lists(), "word of the lists that changed")
    # who shows lists has the rows that their calls give, and how many jobs there are
    told = [event.data for event in everything.events if event.kind == "job"]
    # of jobs before them that have only just ended, too
    rows = {row["job_id"]: row for row in told if row["job_id"] in jobs}
    assert {job_id: row["kind"] for job_id, row in rows.items()} == jobs
    for path in ("training-jobs", "evaluations", "batch-predictions"):
        listed = {row["id"]: row for row in http.get(f"/v1/{path}").json()["data"]}
        assert {name: rows[name]["job"] for name in listed.keys() & jobs} == {
            name: listed[name] for name in listed.keys() & jobs
        }
    counts = [event.data for event in everything.events if event.kind == "counts"]
    assert counts[-1]["jobs"] == http.get("/v1/system").json()["jobs"]
    assert any(kind["running"] or kind["queued"] for one in counts for kind in one["jobs"])
    assert {event.id for event in everything.events if event.kind in ("job", "counts")} == {None}

    wait_for(lambda: evaluations.ended(evaluated, predicted), "their ends")
    assert {event.data.get("kind") for event in evaluations.events} <= {"evaluation", "batch_prediction"}
    assert evaluations.of(evaluated) == everything.of(evaluated)
    http.delete(f"/v1/datasets/{uploaded}")


def test_named_jobs_are_told_from_their_beginning_to_their_ends(http: httpx.Client, server: str) -> None:
    jobs = [submit(http, epochs=1), submit(http, epochs=2)]
    follower = Follower(server, job=jobs).start()
    follower.join()
    whole = lasting(follower.events)
    assert {event.data["job_id"] for event in whole} == set(jobs)
    for job_id, epochs in zip(jobs, (1, 2), strict=True):
        kinds = [event.kind for event in follower.of(job_id)]
        assert kinds == ["status", "status", *["epoch"] * epochs, "status", "end"]
    assert not [event for event in follower.events if event.kind == "changed"]

    params = [("job", job_id) for job_id in jobs]
    for place, event in enumerate(whole[:-1]):
        headers = {"Last-Event-ID": event.id or ""}
        with http.stream("GET", EVENTS, params=params, headers=headers) as answer:
            assert lasting(list(read(answer.iter_lines()))) == whole[place + 1 :]
    over = http.get(EVENTS, params=params, headers={"Last-Event-ID": whole[-1].id or ""})
    assert (over.status_code, over.content) == (204, b"")


@pytest.mark.slow
def test_who_is_cut_off_goes_on_where_it_was(server: str, http: httpx.Client, wait_for: WaitFor) -> None:
    first = Follower(server).start()
    # also one that has received no event yet knows where it is
    wait_for(lambda: first.ids, "the first id")
    jobs = [submit(http, epochs=1) for _ in range(2)]
    wait_for(lambda: first.ended(*jobs), "their ends")
    second = Follower(server, headers={"Last-Event-ID": first.ids[0]}).start()
    wait_for(lambda: second.ended(*jobs), "their ends again")
    for job_id in jobs:
        assert second.of(job_id) == first.of(job_id)
    ids = [int(event.id or 0) for event in second.events if event.id]
    assert ids == sorted(set(ids))
    assert min(ids) > int(first.ids[0])


def test_a_job_that_is_deleted_before_it_begins(server: str, http: httpx.Client, wait_for: WaitFor) -> None:
    busy = submit(http, epochs=100_000)
    waiting = submit(http)
    everything = Follower(server).start()
    named = Follower(server, job=[waiting]).start()
    wait_for(lambda: named.events, "its beginning")
    assert http.delete(f"/v1/training-jobs/{waiting}").status_code == 204
    named.join()
    assert named.events[-1].kind == "end"
    assert named.events[-1].data["job_id"] == waiting
    assert named.events[-1].data["status"] == "cancelled"
    wait_for(
        lambda: any("jobs" in event.data["lists"] for event in everything.events if event.kind == "changed"),
        "word of it",
    )
    assert http.post(f"/v1/training-jobs/{busy}/cancel").status_code == 202
    wait_for(lambda: everything.ended(busy), "the end of the other")


@pytest.mark.parametrize(
    ("params", "headers", "status", "place"),
    [
        ({"job": "job_gone"}, {}, 404, None),
        ({"job": "job_example", "kind": "evaluation"}, {}, 404, None),
        ({"kind": "dreaming"}, {}, 422, "kind"),
        ({"kinds": "training"}, {}, 422, "kinds"),
        ({"job": [f"job_{number}" for number in range(101)]}, {}, 422, "job"),
        ({}, {"Last-Event-ID": "seven"}, 422, "Last-Event-ID"),
        ({}, {"Last-Event-ID": "1" * 19}, 422, "Last-Event-ID"),
        ({}, {"Last-Event-ID": "-1"}, 422, "Last-Event-ID"),
    ],
)
def test_what_cannot_be_followed(
    http: httpx.Client, params: dict[str, Any], headers: dict[str, str], status: int, place: str | None
) -> None:
    answer = http.get(EVENTS, params=params, headers=headers)
    assert answer.status_code == status, answer.text
    if place is not None:
        assert place in [fault["parameter"] for fault in answer.json()["errors"]]


def test_the_stream_has_a_head(http: httpx.Client) -> None:
    head = http.head(EVENTS)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"].startswith("text/event-stream")
    assert head.headers["cache-control"] == "no-store"
    assert http.get("/livez").status_code == 200


@pytest.mark.slow
def test_every_process_tells_the_same_and_sends_its_readers_home(
    several: ServerProcess,
    several_url: str,
    connect: Connect,
    wait_for: WaitFor,
    leaves: Callable[[ServerProcess], None],
) -> None:
    # each takes connections in turn: among so many, both have some
    followers = [Follower(several_url).start() for _ in range(8)]
    with ExitStack() as stack:
        # and one that reads nothing at all
        deaf = stack.enter_context(connect(several_url))
        stack.enter_context(deaf.stream("GET", EVENTS))
        http = stack.enter_context(connect(several_url))
        job = submit_to_several(http)
        wait_for(lambda: all(follower.ended(job) for follower in followers), "the end, for all")
        told = [follower.of(job) for follower in followers]
        assert told[1:] == told[:-1]
        running = submit_to_several(http, LONG)
        wait_for(lambda: all(follower.of(running) for follower in followers), "the next one, for all")
        os.kill(several.pid, signal.SIGTERM)
        for follower in followers:
            follower.join()
            assert "end" not in {event.kind for event in follower.of(running)}
        leaves(several)
    # another server goes on with the same stream
    last = followers[0].ids[-1]
    with connect(several.start()) as http:
        again = Follower(str(http.base_url).rstrip("/"), headers={"Last-Event-ID": last}).start()
        wait_for(lambda: again.of(running), "what comes after")
        assert min(int(event.id or 0) for event in again.of(running)) > int(last)
        assert http.post(f"/v1/training-jobs/{running}/cancel").status_code == 202
        wait_for(lambda: again.ended(running), "its end")
