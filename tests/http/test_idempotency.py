"""Idempotency keys: what is sent again is created once, and answered as before."""

import sqlite3
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from app.cli.launch import ServerProcess
from app.store.database import DATABASE_NAME
from tests.conftest import Guarded

ROUTES = ("/v1/architectures", "/v1/training-jobs", "/v1/datasets")
KEY = "Idempotency-Key"
TINY: dict[str, Any] = {
    "input_shape": [28, 28, 1],
    "layers": [{"type": "max_pool2d", "pool_size": 4}, {"type": "flatten"}, {"type": "dense", "units": 10}],
}
JOB = {"architecture": TINY, "dataset": "digits", "epochs": 1, "batch_size": 200}

Connect = Callable[..., httpx.Client]


def body(http: httpx.Client, route: str) -> dict[str, Any]:
    """Return the first example of the OpenAPI document."""
    content = http.get("/openapi.json").json()["paths"][route]["post"]["requestBody"]["content"]
    example: dict[str, Any] = next(iter(content["application/json"]["examples"].values()))["value"]
    return example


def names(http: httpx.Client, route: str) -> set[str]:
    return {entry["id"] for entry in http.get(route, params={"limit": 200}).json()["data"]}


@pytest.mark.parametrize("route", ROUTES)
def test_the_same_again_is_answered_as_before(http: httpx.Client, route: str) -> None:
    asked = body(http, route)
    key = {KEY: f"same-{route.rpartition('/')[2]}"}
    before = names(http, route)
    first = http.post(route, json=asked, headers=key)
    again = http.post(route, json=dict(reversed(asked.items())), headers=key)
    assert first.status_code in (201, 202)
    assert again.status_code == first.status_code
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    assert again.headers.get("retry-after") == first.headers.get("retry-after")
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert len(names(http, route) - before) == 1

    other = http.post(route, json=asked | {"name": "another"}, headers=key)
    assert other.status_code == 422
    assert other.json()["type"] == "/problems/idempotency-key-reused"
    assert [fault["parameter"] for fault in other.json()["errors"]] == [KEY]

    without = http.post(route, json=asked)
    assert without.json()["id"] != first.json()["id"]
    if route == "/v1/training-jobs":
        for job in (first, without):
            http.post(f"{job.headers['location']}/cancel")


def test_a_key_belongs_to_one_call(http: httpx.Client) -> None:
    key = {KEY: "of-one-call"}
    made = [http.post(route, json=body(http, route), headers=key) for route in ROUTES]
    assert [answer.status_code for answer in made] == [201, 202, 202]
    assert http.post(f"{made[1].headers['location']}/cancel").status_code == 202


def test_a_key_belongs_to_one_caller(guarded_server: Guarded, connect: Connect) -> None:
    """Who has another API key neither gets the answer nor learns that there is one."""
    key = {KEY: "of-one-caller"}
    ids = []
    with connect(guarded_server.url, Authorization=f"Bearer {guarded_server.key}") as admin:
        names_of = ("first", "second")
        made = [admin.post("/v1/keys", json={"name": n, "scopes": ["write"]}).json() for n in names_of]
        for secret in (guarded_server.key, *(entry["key"] for entry in made)):
            with connect(guarded_server.url, Authorization=f"Bearer {secret}") as caller:
                asked = {"name": f"n{len(ids)}", **TINY}
                first, again = (caller.post(ROUTES[0], json=asked, headers=key) for _ in range(2))
                assert (first.status_code, again.json()) == (201, first.json()), first.text
                assert again.headers["idempotent-replayed"] == "true"
                ids.append(first.json()["id"])
        for entry in made:
            assert admin.delete(f"/v1/keys/{entry['id']}").status_code == 204
    assert len(set(ids)) == 3


def test_a_refused_call_leaves_its_key_free(http: httpx.Client) -> None:
    key = {KEY: "second-try"}
    wrong = {"name": "n", **TINY, "layers": []}
    assert http.post(ROUTES[0], json=wrong, headers=key).status_code == 422
    assert http.post(ROUTES[0], json={"name": "n", **TINY}, headers=key).status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "two words"])
def test_what_is_no_key(http: httpx.Client, key: str) -> None:
    answer = http.post(ROUTES[0], json={"name": "n", **TINY}, headers={KEY: key})
    assert answer.status_code == 422
    assert [fault["parameter"] for fault in answer.json()["errors"]] == [KEY]


@pytest.mark.slow
def test_in_flight_across_a_restart_and_after_a_day(
    start: Callable[..., ServerProcess], connect: Connect
) -> None:
    service = start()
    database = service.data_dir / DATABASE_NAME
    key = {KEY: "patience"}
    with connect(service.start()) as http, ThreadPoolExecutor(2) as pool:
        with closing(sqlite3.connect(database, isolation_level=None)) as lock:
            lock.execute("BEGIN IMMEDIATE")  # nobody else can write, so that one call has to wait
            calls = {pool.submit(http.post, ROUTES[1], json=JOB, headers=key) for _ in range(2)}
            done, waiting = wait(calls, return_when=FIRST_COMPLETED)
            assert [call.result().status_code for call in done] == [409]
            assert done.pop().result().json()["type"] == "/problems/idempotency-key-in-use"
            lock.execute("ROLLBACK")
        first = waiting.pop().result()
        assert first.status_code == 202
    service.kill()
    with connect(service.start()) as http:
        assert http.post(ROUTES[1], json=JOB, headers=key).json() == first.json()
        with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
            then = datetime.now(UTC) - timedelta(hours=24, seconds=1)
            connection.execute("UPDATE answers SET created_at = ?", [then.strftime("%Y-%m-%d %H:%M:%S.%f")])
        later = http.post(ROUTES[1], json=JOB, headers=key)
        assert later.status_code == 202
        assert later.json()["id"] != first.json()["id"]
    service.stop()
