"""Training jobs over HTTP: what is accepted, what is shown, what can be done to them."""

import io
import zipfile
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from app.api.training_jobs import TrainingJob
from app.jobs.requests import TrainingRequest

JOBS = "/v1/training-jobs"
TINY: dict[str, Any] = {
    "input_shape": [28, 28, 1],
    "layers": [{"type": "max_pool2d", "pool_size": 4}, {"type": "flatten"}, {"type": "dense", "units": 10}],
}

Finished = Callable[[httpx.Client, str], dict[str, Any]]


def submit(client: httpx.Client, **changes: Any) -> dict[str, Any]:
    body = {"architecture": TINY, "dataset": "digits", "epochs": 1, "batch_size": 200, **changes}
    answer = client.post(JOBS, json=body)
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"{JOBS}/{job['id']}"
    assert int(answer.headers["retry-after"]) >= 1
    return job


def test_the_way_of_a_job(http: httpx.Client, finished: Finished) -> None:
    accepted = submit(http, name="way", epochs=2, seed=3)
    assert accepted["id"].startswith("job_")
    assert accepted["status"] in ("queued", "running")
    assert accepted["progress"]["epochs"] == 2
    assert accepted["progress"]["steps"] == 2 * 40
    # What was asked for, with every default written out.
    assert accepted["name"] == "way"
    assert accepted["seed"] == 3
    assert accepted["dataset_images"] == 10_000
    assert accepted["select"] == "best"
    assert accepted["optimizer"]["type"] == "adam"
    assert accepted["optimizer"]["learning_rate"] > 0
    assert accepted["loss"]["type"] == "softmax_cross_entropy"
    assert accepted["architecture"]["format_version"] == 1
    assert set(TINY["layers"][0]) < set(accepted["architecture"]["layers"][0])
    assert accepted["architecture_source"] is None
    assert accepted["created_at"].endswith("Z")

    job = finished(http, accepted["id"])
    assert job["status"] == "succeeded"
    assert job["error"] is None
    assert job["attempt"] == 1
    assert job["progress"]["fraction"] == 1
    assert job["progress"]["step"] == job["progress"]["steps"] == 80
    assert accepted["created_at"] <= job["started_at"] <= job["finished_at"]
    unchanged = set(TrainingRequest.model_fields) | {"id", "created_at", "builtin"}
    assert {name: job[name] for name in unchanged} == {name: accepted[name] for name in unchanged}

    epochs = http.get(f"{JOBS}/{job['id']}/metrics").json()["data"]
    assert [epoch["epoch"] for epoch in epochs] == [1, 2]
    assert epochs[-1] == job["metrics"]
    assert epochs[1]["train_loss"] < epochs[0]["train_loss"]
    assert 0 < epochs[1]["dev_accuracy"] <= 1

    log = http.get(f"{JOBS}/{job['id']}/log")
    assert log.headers["content-type"].startswith("text/plain")
    assert "epoch" in log.text

    model = http.get(f"/v1/models/{job['model_id']}").json()
    assert model["training_job_id"] == job["id"]
    assert model["name"] == "way"
    assert model["classes"] == list("0123456789")
    assert 0 < model["metrics"]["test_accuracy"] <= 1
    assert model["metrics"]["kept_epoch"] in (1, 2)

    assert http.post(f"{JOBS}/{job['id']}/cancel").status_code == 409
    assert http.delete(f"{JOBS}/{job['id']}").status_code == 204
    assert http.get(f"{JOBS}/{job['id']}").status_code == 404
    assert http.get(f"{JOBS}/{job['id']}/log").status_code == 404
    assert http.get(f"/v1/models/{job['model_id']}").status_code == 200


def test_a_job_with_everything_that_training_offers(http: httpx.Client, finished: Finished) -> None:
    asked: dict[str, Any] = {
        "accumulate": 2,
        "clip": {"norm": 1.0},
        "weight_average": {"decay": 0.9},
        "augmentations": [{"type": "random_crop", "padding": 2}, {"type": "rotation", "degrees": 10}],
        "schedule": {"type": "cosine", "warm_up": 0.5, "restarts": 1},
        "loss": {"type": "softmax_cross_entropy", "label_smoothing": 0.1},
        "optimizer": {"type": "lookahead", "inner": {"type": "lars", "trust": 0.1}, "every": 3},
        "learning_rate_factors": {"dense_1": 0.5},
    }
    job = submit(http, **asked)
    assert job["progress"]["steps"] == 20
    for name in ("clip", "augmentations", "schedule"):
        assert job[name] is not None
    assert job["learning_rate_factors"] == {"dense_1": 0.5}
    assert job["optimizer"]["inner"]["momentum"] == 0.9
    assert finished(http, job["id"])["status"] == "succeeded"


@pytest.mark.parametrize(
    ("field", "value", "pointer"),
    [
        ("augmentations", [{"type": "hue", "degrees": 5}], "/augmentations/0"),
        ("freeze", ["dense_1", "no_such_*"], "/freeze/1"),
        ("loss", {"type": "binary_cross_entropy", "positive_weights": [1]}, "/loss/positive_weights"),
        ("clip", {}, "/clip"),
        ("learning_rate_factors", {"residual_1/*": 0.1}, "/learning_rate_factors/residual_1~1*"),
        ("learning_rate_factors", {"dense_1": 0.0}, "/learning_rate_factors/dense_1"),
        ("optimizer", {"type": "lookahead", "inner": {"type": "lookahead"}}, "/optimizer/inner/type"),
    ],
)
def test_what_does_not_fit_the_pictures_is_refused_in_its_place(
    http: httpx.Client, field: str, value: Any, pointer: str
) -> None:
    body = {"architecture": TINY, "dataset": "digits", field: value}
    answer = http.post(JOBS, json=body)
    assert answer.status_code == 422, answer.text
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


@pytest.mark.parametrize(
    ("layer", "batch_size", "pointer"),
    [
        ({"type": "batch_norm"}, 1, "/batch_size"),
        ({"type": "group_norm", "groups": 784}, 64, "/architecture/layers/1"),
    ],
)
def test_normalising_single_numbers_is_refused(
    http: httpx.Client, layer: dict[str, Any], batch_size: int, pointer: str
) -> None:
    layers = [{"type": "flatten"}, layer, {"type": "dense", "units": 10}]
    architecture = {"input_shape": [28, 28, 1], "layers": layers}
    body = {"architecture": architecture, "dataset": "digits", "batch_size": batch_size}
    answer = http.post(JOBS, json=body)
    assert answer.status_code == 422, answer.text
    (error,) = answer.json()["errors"]
    assert error["pointer"] == pointer
    assert error["hint"]


def test_every_field_of_a_request_is_shown() -> None:
    assert set(TrainingRequest.model_fields) <= set(TrainingJob.model_fields)


def test_a_preset_takes_shape_and_classes_from_the_data_set(http: httpx.Client) -> None:
    job = submit(http, architecture={"preset": "vgg-small"}, epochs=1)
    try:
        assert job["architecture"]["input_shape"] == [28, 28, 1]
        assert job["architecture"]["layers"][-1]["units"] == 10
        assert job["architecture_source"] == {"preset": "vgg-small"}
        assert job["name"] == "digits"  # as the data set is called
    finally:
        http.post(f"{JOBS}/{job['id']}/cancel")


def test_a_stored_architecture_is_copied(http: httpx.Client, finished: Finished) -> None:
    stored = http.post("/v1/architectures", json={"name": "short-lived", **TINY}).json()
    job = submit(http, architecture=stored["id"])
    assert job["architecture_source"] == {"id": stored["id"]}
    assert job["name"] == "digits"
    assert http.delete(f"/v1/architectures/{stored['id']}").status_code == 204
    assert finished(http, job["id"])["status"] == "succeeded"


def test_cancel_and_delete_while_it_runs(
    http: httpx.Client, finished: Finished, wait_for: Callable[..., Any]
) -> None:
    running = submit(http, epochs=100_000)
    waiting = submit(http, epochs=100_000)
    wait_for(lambda: http.get(f"{JOBS}/{running['id']}").json()["progress"]["step"] > 0, "the first step")
    assert waiting["status"] == "queued"

    refused = http.delete(f"{JOBS}/{running['id']}")
    assert refused.status_code == 409
    assert refused.json()["type"] == "/problems/job-running"

    at_once = http.post(f"{JOBS}/{waiting['id']}/cancel")
    assert at_once.status_code == 202
    assert at_once.json()["status"] == "cancelled"
    assert http.delete(f"{JOBS}/{waiting['id']}").status_code == 204

    soon = http.post(f"{JOBS}/{running['id']}/cancel")
    assert soon.status_code == 202
    assert soon.json()["status"] in ("cancelling", "cancelled")
    job = finished(http, running["id"])
    assert job["status"] == "cancelled"
    assert job["model_id"] is None
    assert job["error"] is None
    assert http.delete(f"{JOBS}/{running['id']}").status_code == 204


def test_a_loss_that_is_not_finite_fails_the_job(http: httpx.Client, finished: Finished) -> None:
    layers = [{"type": "flatten"}, {"type": "dense", "units": 10}, {"type": "dense", "units": 10}]
    deep = {"input_shape": [28, 28, 1], "layers": layers}
    job = finished(
        http, submit(http, architecture=deep, optimizer={"type": "sgd", "learning_rate": 1e30})["id"]
    )
    assert job["status"] == "failed"
    assert job["error"]["code"] == "non_finite"
    assert "learning rate" in job["error"]["message"] or "NaN" in job["error"]["message"]
    assert job["model_id"] is None


def test_lists_go_on_where_they_stopped_and_can_be_filtered(http: httpx.Client, finished: Finished) -> None:
    ids = [submit(http, epochs=100_000)["id"] for _ in range(3)]
    for job_id in ids[::-1]:  # those that wait first: they never need a worker
        http.post(f"{JOBS}/{job_id}/cancel")
    for job_id in ids:
        finished(http, job_id)
    seen: list[str] = []
    after: str | None = None
    while True:
        page = http.get(JOBS, params={"limit": 2} | ({"after": after} if after else {})).json()
        assert len(page["data"]) <= 2
        seen += [job["id"] for job in page["data"]]
        after = page["next"]
        if after is None:
            break
    assert len(seen) == len(set(seen))
    assert [job_id for job_id in seen if job_id in ids] == ids[::-1]
    assert seen[-1] == "job_example"
    for status in ("succeeded", "cancelled"):
        data = http.get(JOBS, params={"status": status, "limit": 200}).json()["data"]
        assert {job["status"] for job in data} == {status}
        found = {job["id"] for job in data}
        assert found & {*ids, "job_example"} == ({"job_example"} if status == "succeeded" else set(ids))


def test_a_data_set_that_is_not_ready(http: httpx.Client, wait_for: Callable[..., Any]) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("cat", "dog"):
            for number in range(3):
                archive.writestr(f"{name}/{number}.png", b"no picture")
    uploaded = http.post("/v1/datasets", files={"file": ("broken.zip", buffer.getvalue())})
    assert uploaded.status_code == 202, uploaded.text
    url = uploaded.headers["location"]
    wait_for(lambda: http.get(url).json()["status"] == "failed", "the end of its ingestion")
    answer = http.post(JOBS, json={"architecture": TINY, "dataset": uploaded.json()["id"]})
    assert answer.status_code == 409
    assert answer.json()["type"] == "/problems/dataset-not-ready"
    (fault,) = answer.json()["errors"]
    assert fault["pointer"] == "/dataset"
    assert "no file of the class 'cat' is a picture that can be read" in fault["detail"]
    assert fault["hint"] == "upload it again"


@pytest.mark.parametrize("path", ["", "/metrics", "/log"])
def test_a_job_of_another_kind_is_no_training_job(http: httpx.Client, path: str) -> None:
    page = http.get("/openapi.json").json()["paths"]["/v1/datasets"]["post"]
    (example,) = page["requestBody"]["content"]["application/json"]["examples"].values()
    dataset = http.post("/v1/datasets", json=example["value"]).json()
    job_id = dataset["id"].replace("ds_", "job_")
    assert http.get(f"{JOBS}/{job_id}{path}").status_code == 404
    assert http.post(f"{JOBS}/{job_id}/cancel").status_code == 404
    assert http.delete(f"{JOBS}/{job_id}").status_code == 404
    assert job_id not in {job["id"] for job in http.get(JOBS, params={"limit": 200}).json()["data"]}
