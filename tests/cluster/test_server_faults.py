"""Whatever dies of several servers on one database and one bucket: a job goes on, and ends in the same bytes, once."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from app.cli.launch import ServerProcess
from tests.cluster.apart import machine
from tests.cluster.line import line_to
from tests.cluster.postgres import PostgresServer
from tests.cluster.seaweed import S3Server, running
from tests.cluster.several import JOB, Server, go_on, servers, stop, undisturbed
from tests.conftest import wait_for
from tests.http.several import events

pytestmark = pytest.mark.cluster

Start = Callable[..., ServerProcess]
Record = Callable[[str, object], None]
TAKEN_WITHIN = 15.0
"""Seconds until another server runs the jobs, at most."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The model that the job makes when nothing happens."""
    return undisturbed(tmp_path_factory.mktemp("undisturbed"))


@pytest.fixture
def settings(database_url: str, s3: S3Server, prefix: str) -> dict[str, str]:
    return {"DATABASE_URL": database_url, **s3.settings(prefix)}


@pytest.fixture
def own_s3() -> Iterator[S3Server]:
    """A store of one's own, which can be killed."""
    with running() as server:
        yield server


def ports(settings: dict[str, str]) -> tuple[int, ...]:
    """Return the ports of the database and of the bucket."""
    return tuple(urlsplit(settings[name]).port or 0 for name in ("DATABASE_URL", "ARTIFACTS_ENDPOINT"))


def same(server: Server, job: dict[str, Any], weights: bytes) -> None:
    """See that a job has ended once, and in the bytes of an undisturbed run."""
    assert job["status"] == "succeeded", job
    assert server.weights(job["model_id"]) == weights
    assert [model["version"] for model in server.get("/v1/models?name=of-many")["data"]] == [1]
    told = server.get(f"/v1/training-jobs/{job['id']}/metrics")["data"]
    assert [epoch["epoch"] for epoch in told] == list(range(1, JOB["epochs"] + 1))
    assert job["progress"]["exact_resume"] is True


@contextmanager
def takes_over(server: Server, record: Record) -> Iterator[None]:
    """See how long another server takes to run the jobs after what is done here."""
    began = time.monotonic()
    yield
    wait_for(server.holds, "another that runs the jobs")
    seconds = time.monotonic() - began
    record("seconds until another server ran the jobs", round(seconds, 1))
    assert seconds < TAKEN_WITHIN


def loses_and_finds_the_others(
    one: Server,
    two: Server,
    cut: Callable[[], None],
    mend: Callable[[], None],
    weights: bytes,
    record: Record,
) -> None:
    """Cut off the server that runs a job, and see that another ends it, also when the first is back."""
    job_id = two.submit(JOB)
    two.wait_checkpoint(job_id)
    with takes_over(two, record):
        cut()
    wait_for(lambda: one.http.get("/readyz").status_code == 503, "the fault")
    same(two, two.wait_end(job_id), weights)
    mend()
    wait_for(lambda: events(one.process, "duties_lost"), "the first finding out")
    wait_for(lambda: one.http.get("/readyz").status_code == 200, "the end of the fault")
    # what was said before and came only now has changed nothing
    same(one, one.get(f"/v1/training-jobs/{job_id}"), weights)
    assert len(events(two.process, "duties_taken")) == 1


@pytest.mark.parametrize("what", ["the server", "its machine"])
def test_the_server_that_runs_the_jobs_is_killed(
    what: str, start: Start, settings: dict[str, str], weights: bytes, record_property: Record
) -> None:
    with servers(start, **settings) as (one, two):
        job_id = two.submit(JOB)
        two.wait_checkpoint(job_id)
        worker = one.worker(job_id)
        with takes_over(two, record_property):
            one.process.kill()
            if what == "its machine":
                os.kill(worker, signal.SIGKILL)
        job = two.wait_end(job_id)
        same(two, job, weights)
        # a worker that outlives its server may be done before another takes over
        assert job["attempt"] == 2 or what == "the server"
        # the one that comes back does no work beside it
        with one.process:
            log = f"/v1/training-jobs/{job_id}/log"
            wait_for(
                lambda: "attempt 1 of training" in two.http.get(log).text, "the log of the first attempt"
            )
            assert not events(two.process, "duties_lost")


def test_the_server_that_runs_the_jobs_is_stopped_and_started_again(
    start: Start, settings: dict[str, str], weights: bytes, record_property: Record
) -> None:
    with servers(start, **settings) as (one, two):
        job_id = two.submit(JOB)
        two.wait_checkpoint(job_id)
        began = time.monotonic()
        one.process.stop()
        wait_for(two.holds, "another that runs the jobs")
        record_property("seconds until another server ran the jobs", round(time.monotonic() - began, 1))
        with one.process:
            job = two.wait_end(job_id)
            same(two, job, weights)
            assert job["attempt"] == 1, "that costs none"
            log = two.http.get(f"/v1/training-jobs/{job_id}/log").text
            assert log.count("attempt 1 of training") == 2, (
                "the second has added to what the first has printed"
            )
            assert "asked to stop" in log
        assert two.holds()


def test_the_worker_is_killed(start: Start, settings: dict[str, str], weights: bytes) -> None:
    with servers(start, **settings) as (one, two):
        job_id = two.submit(JOB)
        two.wait_checkpoint(job_id)
        os.kill(one.worker(job_id), signal.SIGKILL)
        job = two.wait_end(job_id)
        same(two, job, weights)
        assert job["attempt"] == 2


@pytest.mark.parametrize("what", ["the server", "its machine"])
def test_the_server_that_runs_the_jobs_is_frozen_and_comes_back(
    what: str, start: Start, settings: dict[str, str], weights: bytes, record_property: Record
) -> None:
    with servers(start, **settings) as (one, two):
        job_id = two.submit(JOB)
        two.wait_checkpoint(job_id)
        frozen = [one.process.pid, *([one.worker(job_id)] if what == "its machine" else [])]
        try:
            with takes_over(two, record_property):
                stop(frozen)
            job = two.wait_end(job_id)
        finally:
            go_on(frozen)
        same(two, job, weights)
        wait_for(lambda: events(one.process, "duties_lost"), "the first finding out")
        # it is one of them again, and what it writes late changes nothing
        assert one.get(f"/v1/training-jobs/{job_id}")["status"] == "succeeded"
        again = one.submit(JOB | {"epochs": 1, "name": "again"})
        assert two.wait_end(again)["status"] == "succeeded"
        same(one, one.get(f"/v1/training-jobs/{job_id}"), weights)
        assert len(events(two.process, "duties_taken")) == 1


@pytest.mark.parametrize("what", ["the database", "the database and the bucket"])
def test_the_server_that_runs_the_jobs_is_cut_off(
    what: str, start: Start, settings: dict[str, str], weights: bytes, record_property: Record
) -> None:
    database, bucket = ports(settings)
    with line_to(database) as rows, line_to(bucket) as files:
        by_line = {
            "DATABASE_URL": settings["DATABASE_URL"].replace(f":{database}/", f":{rows.port}/"),
            "ARTIFACTS_ENDPOINT": f"http://127.0.0.1:{files.port}",
        }
        lines = [rows, files] if what == "the database and the bucket" else [rows]
        with servers(start, by_line, **settings) as (one, two):

            def cut() -> None:
                for line in lines:
                    line.cut()

            def mend() -> None:
                for line in lines:
                    line.mend()

            loses_and_finds_the_others(one, two, cut, mend, weights, record_property)


def test_the_cable_of_the_machine_that_runs_the_jobs_is_pulled(
    start: Start, settings: dict[str, str], weights: bytes, record_property: Record, tmp_path: Path
) -> None:
    with machine(tmp_path) as apart:
        database, bucket = (apart.reach(port) for port in ports(settings))
        over_the_cable = {
            "DATABASE_URL": re.sub("@[^/]*/", f"@{database}/", settings["DATABASE_URL"]),
            "ARTIFACTS_ENDPOINT": f"http://{bucket}",
        }

        def start_one(name: str, **given: str) -> ServerProcess:
            there = {"command": apart.serve, "port": apart.let_in()} if name == "one" else {}
            return start(name, **there, **given)

        with servers(start_one, over_the_cable, **settings) as (one, two):
            loses_and_finds_the_others(one, two, apart.pull_cable, apart.plug_in, weights, record_property)


def test_the_bucket_is_away_for_half_a_minute(
    start: Start, database_url: str, own_s3: S3Server, weights: bytes, record_property: Record
) -> None:
    with servers(start, DATABASE_URL=database_url, **own_s3.settings("a")) as (_, two):
        job_id = two.submit(JOB)
        two.wait_checkpoint(job_id)
        own_s3.kill()
        away = time.monotonic()
        wait_for(lambda: two.get(f"/v1/training-jobs/{job_id}")["status"] == "queued", "the job waiting")
        assert two.get(f"/v1/training-jobs/{job_id}")["waiting_for"]
        time.sleep(max(0.0, 30 - (time.monotonic() - away)))
        own_s3.start()
        back = time.monotonic()
        wait_for(lambda: two.get(f"/v1/training-jobs/{job_id}")["status"] != "queued", "the job going on")
        record_property("seconds until the job ran again", round(time.monotonic() - back, 1))
        job = two.wait_end(job_id)
        same(two, job, weights)
        assert job["attempt"] == 1


@pytest.mark.parametrize("seconds", [0, 20])
def test_postgres_is_killed_and_comes_back(
    seconds: int,
    start: Start,
    settings: dict[str, str],
    postgres: PostgresServer,
    weights: bytes,
    record_property: Record,
) -> None:
    with servers(start, **settings) as (one, two):
        job_id = two.submit(JOB)
        two.wait_checkpoint(job_id)
        postgres.kill()
        for server in (one, two):
            wait_for(lambda server=server: server.http.get("/readyz").status_code == 503, "the fault")
        time.sleep(seconds)
        postgres.start()
        back = time.monotonic()
        for server in (one, two):
            wait_for(lambda server=server: server.http.get("/readyz").status_code == 200, "its end")
        record_property("seconds until both were ready", round(time.monotonic() - back, 1))
        same(two, two.wait_end(job_id), weights)
        ended = [line for server in (one, two) for line in events(server.process, "job_ended")]
        assert [line["job"] for line in ended] == [job_id]
