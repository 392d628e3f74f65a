"""The ends of training jobs: cancelled in every state, failed within a step, gone on from what was left."""

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

JOBS = "/v1/training-jobs"
TINY: dict[str, Any] = {
    "input_shape": [28, 28, 1],
    "layers": [{"type": "max_pool2d", "pool_size": 4}, {"type": "flatten"}, {"type": "dense", "units": 10}],
}
# A chain of products without anything between them, whose learning rate rises until it bursts.
BURSTING: dict[str, Any] = {
    "architecture": {
        "input_shape": [28, 28, 1],
        "layers": [
            {"type": "max_pool2d", "pool_size": 4},
            {"type": "flatten"},
            *({"type": "dense", "units": 10} for _ in range(4)),
        ],
    },
    "optimizer": {"type": "sgd", "learning_rate": 50.0},
    "schedule": {"type": "constant", "warm_up": 40_000.0},
}
STEPS = 40
"""In an epoch: the digits in batches of 200."""

Finished = Callable[[httpx.Client, str], dict[str, Any]]


def submit(client: httpx.Client, **changes: Any) -> str:
    body = {"architecture": TINY, "dataset": "digits", "epochs": 1, "batch_size": 200, **changes}
    answer = client.post(JOBS, json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def ends(client: httpx.Client, job_id: str) -> list[str]:
    """Return the final states that the events of a job tell; there must be one."""
    told = client.get(f"{JOBS}/{job_id}/events").text
    assert told.count("event: end\n") == 1
    return re.findall(r'"status":\s*"(succeeded|failed|cancelled)"', told)


@pytest.mark.slow
def test_a_job_that_is_over_cannot_be_cancelled(http: httpx.Client, finished: Finished) -> None:
    running, waiting = (submit(http, epochs=100_000) for _ in range(2))
    for job_id in (waiting, running):
        assert http.post(f"{JOBS}/{job_id}/cancel").status_code == 202
    over = {
        "cancelled": finished(http, waiting)["id"],
        "succeeded": submit(http),
        "failed": submit(http, **BURSTING | {"optimizer": {"type": "sgd", "learning_rate": 1e30}}),
    }
    for status, job_id in over.items():
        job = finished(http, job_id)
        assert job["status"] == status, job
        refused = http.post(f"{JOBS}/{job_id}/cancel")
        assert refused.status_code == 409
        assert refused.json()["type"] == "/problems/job-finished"
        assert http.get(f"{JOBS}/{job_id}").json() == job
        assert set(ends(http, job_id)) == {status}


def test_one_that_is_being_cancelled_can_be_cancelled_again(
    http: httpx.Client, finished: Finished, wait_for: Callable[..., Any]
) -> None:
    job_id = submit(http, epochs=100_000)
    wait_for(lambda: http.get(f"{JOBS}/{job_id}").json()["status"] == "running", "its start")
    for _ in range(2):
        answer = http.post(f"{JOBS}/{job_id}/cancel")
        assert answer.status_code == 202 or answer.json()["type"] == "/problems/job-finished"
    assert finished(http, job_id)["status"] == "cancelled"
    assert set(ends(http, job_id)) == {"cancelled"}


@pytest.mark.parametrize(
    "left", [pytest.param(20, marks=pytest.mark.slow), 5, pytest.param(1, marks=pytest.mark.slow)]
)
def test_a_cancel_that_races_with_the_end_leaves_one_end(
    http: httpx.Client, finished: Finished, wait_for: Callable[..., Any], left: int
) -> None:
    job_id = submit(http, epochs=2)

    def nearly_done() -> bool:
        job = http.get(f"{JOBS}/{job_id}").json()
        return bool(job["progress"]["step"] >= 2 * STEPS - left or job["finished_at"])

    wait_for(nearly_done, "its last steps")
    answer = http.post(f"{JOBS}/{job_id}/cancel")
    assert answer.status_code in (202, 409)
    job = finished(http, job_id)
    assert job["status"] in ("succeeded", "cancelled")
    assert (job["model_id"] is None) == (job["status"] == "cancelled")
    assert set(ends(http, job_id)) == {job["status"]}
    if answer.status_code == 409:
        assert job["status"] == "succeeded"


@pytest.mark.slow
def test_what_was_reached_before_the_loss_burst_can_be_gone_on_from(
    http: httpx.Client, finished: Finished
) -> None:
    job = finished(http, submit(http, epochs=1000, **BURSTING))
    assert job["status"] == "failed", job
    assert job["error"]["code"] == "non_finite"
    epochs = http.get(f"{JOBS}/{job['id']}/metrics").json()["data"]
    told = re.search(r"in step (\d+) \(epoch (\d+)\)", job["error"]["message"])
    assert told is not None, job["error"]
    step, epoch = map(int, told.groups())
    assert epoch == len(epochs) + 1
    assert len(epochs) * STEPS < step <= epoch * STEPS

    gentle = {"optimizer": {"type": "sgd", "learning_rate": 1e-12}, "schedule": {"type": "constant"}}
    answer = http.post(JOBS, json={"continue_from": job["id"], "epochs": 1, **gentle})
    assert answer.status_code == 202, answer.text
    further = finished(http, answer.json()["id"])
    assert further["status"] == "succeeded", further["error"]
    assert further["epochs"] == len(epochs) + 1
    assert further["metrics"]["dev_loss"] is not None


@pytest.mark.slow
def test_class_weights_change_what_is_learnt(http: httpx.Client, finished: Finished) -> None:
    def train(**loss: Any) -> tuple[float, float]:
        loss = {"type": "softmax_cross_entropy", **loss}
        quick = {"type": "adam", "learning_rate": 0.02}
        job = finished(http, submit(http, seed=5, loss=loss, optimizer=quick))
        assert job["status"] == "succeeded", job
        return job["metrics"]["train_loss"], job["metrics"]["dev_accuracy"]

    plain, even = train(), train(class_weights=[1.0] * 10)
    assert even == pytest.approx(plain, rel=1e-5)
    only_one = train(class_weights=[1.0] + [1e-6] * 9)
    assert only_one[1] < plain[1] / 2


def test_class_weights_are_one_for_each_class(http: httpx.Client) -> None:
    loss = {"type": "softmax_cross_entropy", "class_weights": [1.0, 2.0]}
    answer = http.post(JOBS, json={"architecture": TINY, "dataset": "digits", "loss": loss})
    assert answer.status_code == 422
    (fault,) = answer.json()["errors"]
    assert fault["pointer"] == "/loss/class_weights"


def test_jobs_that_wait_say_when_their_turn_comes(http: httpx.Client, wait_for: Callable[..., Any]) -> None:
    running = submit(http, epochs=100_000)
    wait_for(lambda: http.get(f"{JOBS}/{running}").json()["metrics"], "its first epoch")
    waiting = [submit(http, epochs=5), submit(http, epochs=100_000)]
    # of one moment, since the one that runs is reckoned anew for each answer
    listed = {job["id"]: job for job in http.get(JOBS).json()["data"]}
    shown = [listed[job_id] for job_id in waiting]
    assert [job["queue_position"] for job in shown] == [1, 2]
    assert 0 < shown[0]["starts_in_seconds"] < shown[1]["starts_in_seconds"]
    now = http.get(f"{JOBS}/{running}").json()
    assert (now["queue_position"], now["starts_in_seconds"]) == (None, None)
    for job_id in (*waiting, running):
        assert http.post(f"{JOBS}/{job_id}/cancel").status_code == 202
