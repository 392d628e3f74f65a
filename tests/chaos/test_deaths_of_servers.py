"""Servers and workers die, freeze and come back by chance: no job is lost or done twice, all end in the same bytes."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable

import pytest

from app.cli.launch import ServerProcess
from app.files.locks import is_locked, read_holder
from tests.cluster.seaweed import S3Server
from tests.cluster.several import JOB, Server, go_on, servers, stop, undisturbed
from tests.conftest import wait_for

pytestmark = pytest.mark.cluster

SHORT = JOB | {"epochs": 4, "name": "short"}
JOBS = 10
FROZEN_SECONDS = 12.0
"""Longer than a lease."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The model that a job makes when nothing happens."""
    return undisturbed(tmp_path_factory.mktemp("undisturbed"), SHORT)


def workers(server: Server) -> list[int]:
    """Return the workers on the machine of a server."""
    locks = [lock for lock in server.process.data_dir.glob("jobs/*/lock") if is_locked(lock)]
    return [pid for pid in map(read_holder, locks) if pid is not None]


def disturb(server: Server, chance: random.Random) -> str:
    """Have something happen to a server, its machine or its workers, and be over."""
    what = chance.choice(["server", "machine", "worker", "frozen server", "frozen machine"])
    if what == "worker":
        for pid in workers(server):
            os.kill(pid, signal.SIGKILL)
    elif what.startswith("frozen"):
        pids = [server.process.pid, *(workers(server) if what == "frozen machine" else [])]
        stop(pids)
        time.sleep(FROZEN_SECONDS)
        go_on(pids)
    else:
        server.process.kill()
        if what == "machine":
            for pid in workers(server):
                os.kill(pid, signal.SIGKILL)
        time.sleep(chance.uniform(0, FROZEN_SECONDS))
        server.http.base_url = server.process.start()
    return what


def test_jobs_of_two_servers(
    start: Callable[..., ServerProcess],
    database_url: str,
    s3: S3Server,
    prefix: str,
    weights: bytes,
    times: Callable[[int, int], int],
    chance: random.Random,
    record_property: Callable[[str, object], None],
) -> None:
    with servers(start, DATABASE_URL=database_url, **s3.settings(prefix)) as pair:
        ids = [pair[number % 2].submit(SHORT) for number in range(JOBS)]
        happened: list[str] = []

        def left() -> list[str]:
            answers = {job_id: pair[0].get(f"/v1/training-jobs/{job_id}") for job_id in ids}
            return [job_id for job_id, job in answers.items() if not job["finished_at"]]

        for _ in range(times(40, 5)):
            if not left():
                ids.append(pair[0].submit(SHORT))
            time.sleep(chance.uniform(0, 6))
            happened.append(disturb(chance.choice(pair), chance))
        wait_for(lambda: not left(), "the end of all jobs")
        jobs = [pair[1].get(f"/v1/training-jobs/{job_id}") for job_id in ids]
        # chance may hit one three times
        lost = [job for job in jobs if job["status"] != "succeeded"]
        assert all((job["attempt"], job["error"]["code"]) == (3, "worker_lost") for job in lost), lost
        # one runs at a time, and nothing that happens costs it more than one attempt
        assert 3 * len(lost) <= len(happened)
        models = pair[1].get("/v1/models?name=short&limit=200")["data"]
        assert sorted(model["version"] for model in models) == list(range(1, len(jobs) - len(lost) + 1))
        assert {model["id"] for model in models} == {job["model_id"] for job in jobs if job not in lost}
        assert all(pair[number % 2].weights(model["id"]) == weights for number, model in enumerate(models))
        record_property(
            "what happened", ", ".join(f"{happened.count(each)} {each}" for each in sorted({*happened}))
        )
        record_property("jobs done, each once", len(models))
