"""Training jobs over several nodes, as a caller sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from app.cli.launch import ServerProcess

JOBS = "/v1/training-jobs"
BODY: dict[str, Any] = {
    "architecture": {
        "input_shape": [28, 28, 1],
        "layers": [
            {"type": "max_pool2d", "pool_size": 2},
            {"type": "conv2d", "filters": 4, "kernel_size": 3},
            {"type": "batch_norm", "activation": "relu"},
            {"type": "flatten"},
            {"type": "dropout", "rate": 0.2},
            {"type": "dense", "units": 10},
        ],
    },
    "dataset": "digits",
    "batch_size": 200,
    "epochs": 1,
    "seed": 5,
}

Finished = Callable[[httpx.Client, str], dict[str, Any]]


@pytest.fixture
def on_two_cores(
    start: Callable[..., ServerProcess], connect: Callable[..., httpx.Client]
) -> Iterator[httpx.Client]:
    """A server that gives a job two cores, and so two nodes at most."""
    with start(CORES="2") as url, connect(url) as client:
        yield client


def submit(http: httpx.Client, **changes: Any) -> dict[str, Any]:
    answer = http.post(JOBS, json=BODY | changes)
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    return job


def weights(http: httpx.Client, job: dict[str, Any]) -> bytes:
    assert job["status"] == "succeeded", job
    return http.get(f"/v1/models/{job['model_id']}/weights").content


@pytest.mark.slow
def test_two_nodes_give_the_weights_of_two_shares_and_go_on(
    on_two_cores: httpx.Client, finished: Finished
) -> None:
    asked = submit(on_two_cores, nodes=2)
    assert asked["nodes"] == 2
    alone = submit(on_two_cores)
    assert alone["nodes"] == 1
    assert alone["memory_bytes"] < asked["memory_bytes"], "each node needs its own"
    together = finished(on_two_cores, asked["id"])
    log = on_two_cores.get(f"{JOBS}/{asked['id']}/log").text
    assert "all 2 nodes are there" in log
    assert "node 2 of 2" in log
    first = weights(on_two_cores, together)
    assert first == weights(on_two_cores, finished(on_two_cores, alone["id"]))
    more = on_two_cores.post(JOBS, json={"continue_from": asked["id"], "epochs": 1}).json()
    less = on_two_cores.post(JOBS, json={"continue_from": asked["id"], "epochs": 1, "nodes": 1}).json()
    assert (more["nodes"], less["nodes"]) == (2, 1)
    ends = [finished(on_two_cores, job["id"]) for job in (more, less)]
    assert weights(on_two_cores, ends[0]) == weights(on_two_cores, ends[1]) != first
    assert [end["progress"]["exact_resume"] for end in ends] == [True, True]


def test_nodes_that_cannot_be_had_are_refused_in_words(on_two_cores: httpx.Client) -> None:
    refusals: list[tuple[dict[str, Any], str]] = [
        ({"nodes": 3}, "3 nodes are asked for, each needs a core, and a job may use 2 cores of this machine"),
        ({"nodes": 2, "batch_size": 1}, "batches of 1 pictures cannot be cut into 2 shares"),
        ({"nodes": 0}, "greater than or equal to 1"),
        ({"nodes": "2"}, "integer"),
        (
            {"nodes": 2, "architecture": None, "initial_weights": "model_example"},
            "the job learns from features",
        ),
    ]
    for changes, words in refusals:
        body = {name: value for name, value in (BODY | changes).items() if value is not None}
        answer = on_two_cores.post(JOBS, json=body)
        assert answer.status_code == 422, answer.text
        (error,) = answer.json()["errors"]
        assert error["pointer"] == "/nodes"
        assert words in error["detail"]
