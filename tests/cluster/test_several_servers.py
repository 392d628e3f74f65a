"""Two servers on one database and one bucket: each shows, serves and bounds what the other has taken."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from app.cli.launch import ServerProcess
from tests.cluster.seaweed import S3Server
from tests.cluster.several import JOB, Server, servers
from tests.conftest import connect, wait_for
from tests.http.several import events, pictures
from tests.http.test_requests_per_key import occupy

pytestmark = pytest.mark.cluster

Start = Callable[..., ServerProcess]


@pytest.fixture
def settings(database_url: str, s3: S3Server, prefix: str) -> dict[str, str]:
    return {"DATABASE_URL": database_url, **s3.settings(prefix)}


@pytest.fixture
def pair(start: Start, settings: dict[str, str]) -> Iterator[list[Server]]:
    """Two servers, the first of which runs the jobs."""
    with servers(start, **settings) as made:
        yield made


def follow(server: Server, path: str, seen: list[tuple[str, dict[str, Any]]]) -> threading.Thread:
    """Read a stream of events in a thread, to its end."""

    def read() -> None:
        with (
            connect(str(server.http.base_url)) as http,
            http.stream("GET", path, timeout=300) as answer,
        ):
            name = ""
            for line in answer.iter_lines():
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    seen.append((name, json.loads(line.removeprefix("data: "))))
                    if name == "end":
                        return

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


def settle(server: Server, answer: httpx.Response) -> dict[str, Any]:
    """Wait at a server for the end of what was asked for at either."""
    assert answer.status_code == 202, answer.text
    where = answer.headers["Location"]

    def ended() -> dict[str, Any] | None:
        found: dict[str, Any] = server.get(where)
        return found if found["status"] in {"succeeded", "failed", "ready"} else None

    found: dict[str, Any] = wait_for(ended, f"the end of {where}")
    assert found["status"] in {"succeeded", "ready"}, found
    return found


def test_each_serves_what_the_other_has_taken(pair: list[Server]) -> None:
    one, two = pair
    # taken by the one that runs no jobs, made by the other, and grown by either
    sent = {"files": {"file": ("a.zip", pictures(side=28))}, "data": {"name": "letters"}}
    dataset = settle(one, two.http.post("/v1/datasets", **sent))
    place = f"/v1/datasets/{dataset['id']}"
    settle(two, one.http.post(f"{place}/images", files={"file": ("b.zip", pictures(side=10))}))
    assert one.get(place) == two.get(place)
    for number in range(0, one.get(place)["images"], 5):
        shown = [server.http.get(f"{place}/images/{number}").content for server in pair]
        assert shown[0] == shown[1]

    # followed where it does not run
    job_id = two.submit(JOB | {"epochs": 5})
    seen: list[tuple[str, dict[str, Any]]] = []
    reader = follow(two, f"/v1/training-jobs/{job_id}/events", seen)
    job = two.wait_end(job_id)
    reader.join(60)
    assert (job["status"], job["attempt"]) == ("succeeded", 1)
    assert [data["epoch"] for name, data in seen if name == "epoch"] == [1, 2, 3, 4, 5]
    assert seen[-1][0] == "end"
    assert [len(events(server.process, "worker_started")) for server in pair] == [3, 0]
    wait_for(lambda: two.http.get(f"/v1/training-jobs/{job_id}/log").text, "the log")
    for what in ("log", "report", "metrics", "curves"):
        shown = [server.http.get(f"/v1/training-jobs/{job_id}/{what}") for server in pair]
        assert [answer.status_code for answer in shown] == [200, 200], what
        assert shown[0].content == shown[1].content, what
    model = job["model_id"]
    picture = {"files": one.http.get("/v1/datasets/digits/images/0").content}
    predicted = [server.http.post(f"/v1/models/{model}/predict", files=picture) for server in pair]
    assert [answer.status_code for answer in predicted] == [200, 200]
    assert predicted[0].json() == predicted[1].json()
    batch = {"files": {"file": ("a.zip", pictures(side=28))}, "data": {"model": model}}
    done = settle(two, two.http.post("/v1/batch-predictions", **batch))
    tables = [server.http.get(f"/v1/batch-predictions/{done['id']}/result") for server in pair]
    assert tables[0].content.count(b"\n") == 13
    assert tables[0].content == tables[1].content

    # what one changes the other answers by a moment later, from memory too
    another = two.wait_end(one.submit(JOB | {"epochs": 1}))["model_id"]
    for server, other, named in ((one, two, model), (two, one, another), (one, two, model)):
        asked = server.http.put("/v1/models/of-many/aliases/best", json={"model_id": named})
        assert asked.status_code in (200, 201), asked.text
        wait_for(
            lambda other=other, named=named: other.get("/v1/models/of-many@best")["id"] == named, "the alias"
        )
        answer = other.http.post("/v1/models/of-many@best/predict", files=picture)
        assert answer.status_code == 200, answer.text
    assert two.http.delete(f"/v1/models/{another}").status_code == 204
    wait_for(lambda: one.http.get(f"/v1/models/{another}").status_code == 404, "its end")
    # nothing of it lies on the disk of either
    for server in pair:
        left = [path for path in server.process.data_dir.glob("uploads/*") if path.is_file()]
        assert left == []


def test_one_creation_for_one_idempotency_key_at_both(pair: list[Server]) -> None:
    headers = {"Idempotency-Key": "once"}
    answers = [
        server.http.post("/v1/training-jobs", json=JOB | {"epochs": 1}, headers=headers) for server in pair
    ]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json()["id"] == answers[1].json()["id"]


def test_the_quota_is_for_both(start: Start, settings: dict[str, str]) -> None:
    with servers(start, **settings, MAX_DATA_BYTES="14000000") as (one, two):
        sent = {"files": {"file": ("a.zip", pictures(side=900))}, "data": {"image_size": "900"}}
        settle(two, one.http.post("/v1/datasets", **sent))
        for server in (one, two):
            refused = server.http.post("/v1/datasets", **sent)
            assert refused.status_code == 507, refused.text
            assert refused.json()["type"] == "/problems/quota-exceeded"


def test_what_a_key_may_ask_at_once_is_for_both(start: Start, settings: dict[str, str]) -> None:
    """And all of it for one, once it is alone."""
    key = "the-key-of-both"
    given = settings | {"API_KEY": key, "MAX_REQUESTS_PER_KEY": "4"}

    def taken(server: Server) -> int:
        begun, answer = occupy(server.http, str(server.http.base_url), key, wait_for)
        for connection in begun:
            connection.close()
        assert answer.status_code == 429, answer.text
        wait_for(
            lambda: server.http.get("/v1/models", headers={"Authorization": f"Bearer {key}"}).is_success,
            "the turns",
        )
        return len(begun)

    with servers(start, **given) as pair:
        for server in pair:
            wait_for(lambda server=server: taken(server) == 2, "the half of it")
        pair[1].process.stop()
        wait_for(lambda: taken(pair[0]) == 4, "all of it")


def test_logs_hold_no_secret(pair: list[Server], settings: dict[str, str]) -> None:
    one, two = pair
    two.wait_end(two.submit(JOB | {"epochs": 1}))
    written = "".join(server.process.log.read_text() for server in pair)
    written += one.http.get("/v1/training-jobs").text
    assert "a-secret" not in written
    assert settings["ARTIFACTS_SECRET_ACCESS_KEY"] not in written
