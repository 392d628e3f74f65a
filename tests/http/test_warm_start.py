"""Jobs that start from what others have learnt, and jobs that end early."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

JOBS = "/v1/training-jobs"
TINY: dict[str, Any] = {
    "input_shape": [28, 28, 1],
    "layers": [
        {"type": "max_pool2d", "pool_size": 4},
        {"type": "flatten"},
        {"type": "dense", "units": 16, "activation": "relu"},
        {"type": "dense", "units": 10},
    ],
}
BODY = {"architecture": TINY, "dataset": "digits", "batch_size": 200, "seed": 5, "select": "last"}

Finished = Callable[[httpx.Client, str], dict[str, Any]]


def submit(http: httpx.Client, **body: Any) -> dict[str, Any]:
    answer = http.post(JOBS, json=body)
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    return job


def figures(http: httpx.Client, job: dict[str, Any]) -> list[dict[str, Any]]:
    data: list[dict[str, Any]] = http.get(f"{JOBS}/{job['id']}/metrics").json()["data"]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in data]


@pytest.mark.slow
def test_going_on_is_as_if_it_had_not_stopped(http: httpx.Client, finished: Finished) -> None:
    whole = submit(http, **BODY, epochs=3)
    first = submit(http, **BODY, epochs=2, tags=["a", "b"], description="the first two")
    assert (first["tags"], first["description"]) == (["a", "b"], "the first two")
    assert first["queue_position"] >= 1
    refused = http.post(JOBS, json={"continue_from": first["id"]})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (409, "/continue_from")
    made = finished(http, first["id"])
    assert made["checkpoint_until"] > made["finished_at"]
    model = http.get(f"/v1/models/{made['model_id']}").json()
    assert (model["tags"], model["description"]) == (["a", "b"], "the first two")
    more = submit(http, continue_from=first["id"], epochs=1, name="more")
    # The copy is enough.
    assert http.delete(f"{JOBS}/{first['id']}").status_code == 204
    job = finished(http, more["id"])
    assert job["status"] == "succeeded", job
    assert (job["continue_from"], job["epochs"], job["name"]) == (first["id"], 3, "more")
    assert (job["architecture"], job["batch_size"]) == (first["architecture"], 200)
    assert job["queue_position"] is None
    finished(http, whole["id"])
    assert figures(http, job) == figures(http, whole)[2:]


def test_what_cannot_be_gone_on_from(http: httpx.Client, finished: Finished) -> None:
    job = submit(http, **BODY, epochs=1)
    finished(http, job["id"])
    for body, status, pointer in (
        ({"continue_from": "job_gone"}, 422, "/continue_from"),
        ({"continue_from": "job_example"}, 409, "/continue_from"),
        ({"continue_from": job["id"], "initial_weights": "lenet-5-digits@1"}, 422, "/initial_weights"),
        ({"continue_from": job["id"], "batch_size": 7}, 422, "/batch_size"),
        ({"continue_from": job["id"], "optimizer": {"type": "sgd"}}, 422, "/optimizer"),
        ({"continue_from": job["id"], "optimizer": {"type": "adamw"}}, 422, "/optimizer"),
        ({}, 422, "/dataset"),
        ({"architecture": TINY}, 422, "/dataset"),
    ):
        answer = http.post(JOBS, json=body)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (status, pointer), answer.text


@pytest.mark.slow
def test_beginning_with_the_weights_of_a_model(http: httpx.Client, finished: Finished) -> None:
    teacher = finished(http, submit(http, **BODY, epochs=4)["id"])
    record = http.get(f"/v1/models/{teacher['model_id']}").json()
    again = submit(http, **BODY, epochs=1, initial_weights=f"{record['name']}@{record['version']}")
    assert again["initial_weights"] == teacher["model_id"]
    assert http.delete(f"/v1/models/{teacher['model_id']}").status_code == 204
    taught = finished(http, again["id"])
    assert taught["status"] == "succeeded", taught
    assert taught["metrics"]["train_loss"] < figures(http, teacher)[0]["train_loss"] / 2
    other = {"input_shape": [28, 28, 1], "layers": [{"type": "flatten"}, {"type": "dense", "units": 10}]}
    for model, architecture in (("model_gone", TINY), ("model_example", other)):
        answer = http.post(
            JOBS, json={"architecture": architecture, "dataset": "digits", "initial_weights": model}
        )
        assert answer.status_code == 422, answer.text
        assert [fault["pointer"] for fault in answer.json()["errors"]] == ["/initial_weights"]


@pytest.mark.slow
def test_out_of_patience(http: httpx.Client, finished: Finished) -> None:
    stopping = {"patience": 2, "min_delta": 1000.0}
    job = finished(http, submit(http, **BODY, epochs=50, early_stopping=stopping)["id"])
    assert job["status"] == "succeeded"
    assert job["early_stopping"] == stopping
    assert [row["epoch"] for row in figures(http, job)] == [1, 2, 3]
    assert job["progress"]["fraction"] == 1
    assert job["progress"]["epoch"] == 3


@pytest.mark.parametrize("stopping", [{"patience": 0}, {"patience": 1, "min_delta": -1}])
def test_patience_that_makes_no_sense(http: httpx.Client, stopping: dict[str, Any]) -> None:
    answer = http.post(JOBS, json={**BODY, "early_stopping": stopping})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"].startswith("/early_stopping/")
