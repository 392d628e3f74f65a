"""What the server keeps in memory of its rows is what they are, at once after every change."""

import json
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from sqlite3 import connect as connect_database
from typing import Any

import httpx
import pytest

from app.cli.launch import ServerProcess
from app.store.database import DATABASE_NAME

RAW = {"Content-Type": "application/octet-stream"}
JOBS = "/v1/training-jobs"
TINY: dict[str, Any] = {
    "input_shape": [28, 28, 1],
    "layers": [{"type": "max_pool2d", "pool_size": 4}, {"type": "flatten"}, {"type": "dense", "units": 10}],
}


@pytest.fixture
def versions(http: httpx.Client) -> list[str]:
    """The ids of two models of the name `remembered`."""
    file = http.get("/v1/models/model_example/weights").content
    answers = [
        http.post("/v1/models/import", content=file, headers=RAW, params={"name": "remembered"}).json()
        for _ in range(2)
    ]
    return [answer["id"] for answer in answers]


def test_the_next_prediction_is_by_the_model_that_an_alias_stands_for_now(
    http: httpx.Client, versions: list[str]
) -> None:
    picture = {"files": ("d.png", http.get("/v1/datasets/digits/images/0").content)}
    address, alias = "/v1/models/remembered@live", "/v1/models/remembered/aliases/live"
    for turn in range(6):
        model_id = versions[turn % 2]
        assert http.put(alias, json={"model_id": model_id}).status_code == 200
        for _ in range(2):
            assert http.post(f"{address}/predict", files=picture).json()["model_id"] == model_id
            assert http.get(address).json()["id"] == model_id
    assert http.delete(alias).status_code == 204
    assert http.post(f"{address}/predict", files=picture).status_code == 404
    for model_id in versions:
        names = (model_id, f"remembered@{http.get(f'/v1/models/{model_id}').json()['version']}")
        assert [http.get(f"/v1/models/{name}").status_code for name in names] == [200, 200]
        assert http.delete(f"/v1/models/{model_id}").status_code == 204
        assert [http.get(f"/v1/models/{name}").status_code for name in names] == [404, 404]
        assert http.post(f"/v1/models/{model_id}/predict", files=picture).status_code == 404


def test_whoever_has_read_that_a_job_has_ended_gets_its_end(http: httpx.Client) -> None:
    body = {"architecture": TINY, "dataset": "digits", "epochs": 2, "batch_size": 400}
    job_id = http.post(JOBS, json=body).json()["id"]
    with http.stream("GET", f"{JOBS}/{job_id}/events") as answer:
        kinds = (line.partition(": ")[2] for line in answer.iter_lines() if line.startswith("event: "))
        states = [(kind, http.get(f"{JOBS}/{job_id}").json()["status"]) for kind in kinds]
    assert states[-1] == ("end", "succeeded")
    assert {state for _, state in states} > {"succeeded"}
    model_id = http.get(f"{JOBS}/{job_id}").json()["model_id"]
    assert http.delete(f"{JOBS}/{job_id}").status_code == 204
    assert http.get(f"{JOBS}/{job_id}").status_code == 404
    assert http.delete(f"/v1/models/{model_id}").status_code == 204


def test_data_sets_and_architectures_are_gone_once_they_are_deleted(http: httpx.Client) -> None:
    made = http.post("/v1/architectures", json={"name": "tiny"} | TINY).json()
    address = f"/v1/architectures/{made['id']}"
    assert http.get(address).json() == http.get(address).json() == made
    assert http.delete(address).status_code == 204
    assert http.get(address).status_code == 404


@pytest.mark.local
def test_a_change_by_anybody_counts_at_once(
    start: Callable[..., ServerProcess], connect: Callable[..., httpx.Client], tmp_path: Path
) -> None:
    file = tmp_path / "data" / DATABASE_NAME
    with (
        start() as url,
        connect(url) as http,
        closing(connect_database(file, isolation_level=None)) as database,
    ):
        for turn in range(3):
            tags = [f"turn {turn}"]
            database.execute("UPDATE models SET tags = ? WHERE id = 'model_example'", (json.dumps(tags),))
            database.execute("UPDATE datasets SET name = ? WHERE id = 'digits'", tags)
            for _ in range(2):
                assert http.get("/v1/models/model_example").json()["tags"] == tags
                assert http.get("/v1/datasets/digits").json()["name"] == tags[0]


@pytest.mark.slow
def test_a_change_that_one_process_made_counts_in_all_at_once(
    start: Callable[..., ServerProcess], connect: Callable[..., httpx.Client]
) -> None:
    with start(WORKERS="2") as url, ExitStack() as stack:
        clients = [stack.enter_context(connect(url)) for _ in range(6)]  # dealt out to the processes
        file = clients[0].get("/v1/models/model_example/weights").content
        imported = [
            clients[0].post("/v1/models/import", content=file, headers=RAW, params={"name": "shared"}).json()
            for _ in range(2)
        ]
        for turn in range(10):
            model_id = imported[turn % 2]["id"]
            maker = clients[turn % len(clients)]
            maker.put("/v1/models/shared/aliases/live", json={"model_id": model_id}).raise_for_status()
            seen = [client.get("/v1/models/shared@live").json()["id"] for client in clients]
            assert seen == [model_id] * len(clients)
