"""Jobs on a data set that is still being filled: accepted at once, decided when it is ready.

The server has two serving processes. What fills data sets is stopped while a test needs one that is not ready: the
uploads wait for one another.
"""

from __future__ import annotations

import io
import os
import signal
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app.cli.launch import ServerProcess
from app.files.locks import is_locked, read_holder
from tests.http.drawn_pictures import png, upload
from tests.http.several import TRAINING, get, wait_end, wait_made
from tests.jobs.service import pause

pytestmark = pytest.mark.slow

JOBS, EVALUATIONS = "/v1/training-jobs", "/v1/evaluations"
WaitFor = Callable[..., Any]
DENSE: dict[str, Any] = {
    "input_shape": [16, 16, 1],
    "layers": [{"type": "flatten"}, {"type": "dense", "units": 2}],
}


def sides(count: int = 20) -> bytes:
    """Return an archive of pictures that are bright at the left or at the right."""
    draw = np.random.default_rng(0)
    pictures = {}
    for name, side in (("left", 0), ("right", 1)):
        for number in range(count):
            pixels = draw.integers(0, 60, (16, 16), dtype=np.uint8)
            pixels[:, side * 8 : (side + 1) * 8] += 150
            pictures[f"{name}/{number}.png"] = png(pixels)
    return packed(pictures)


def packed(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def slow() -> bytes:
    """Return an archive that takes some time to read: it is there to be stopped in the middle."""
    content = png(np.add.outer(np.arange(1800), np.arange(1800)).astype(np.uint8))
    return packed({f"{number % 2}/{number}.png": content for number in range(60)})


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("waiting")
    settings = {
        "WORKERS": "2",
        "CORES": "1",
        "HEARTBEAT_TIMEOUT": "3000",
        "MAX_TRAINING_BYTES": str(1 << 30),
    }
    process = ServerProcess(folder / "data", folder / "log", settings)
    process.start()
    yield process
    process.kill()
    for lock in (folder / "data").glob("jobs/*/lock"):
        if is_locked(lock) and (pid := read_holder(lock)):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def http(service: ServerProcess, connect: Callable[..., httpx.Client]) -> Iterator[httpx.Client]:
    with connect(service._address() or "") as client:
        yield client


@pytest.fixture
def unfilled(
    service: ServerProcess, connect: Callable[..., httpx.Client], wait_for: WaitFor
) -> Callable[[httpx.Client], Any]:
    """Let no data set become ready for the length of a `with`."""

    @contextmanager
    def hold(http: httpx.Client) -> Iterator[None]:
        answer = upload(http, slow(), duplicates="keep")
        assert answer.status_code == 202, answer.text
        job_id = answer.json()["id"].replace("ds_", "job_")
        lock: Path = service.data_dir / "jobs" / job_id / "lock"
        pid = wait_for(lambda: is_locked(lock) and read_holder(lock), "the worker")
        pause(service.data_dir, pid)
        try:
            yield
        finally:
            with connect(service._address() or "") as client:
                client.post(f"/v1/datasets/{answer.json()['id']}/cancel")
            os.kill(pid, signal.SIGCONT)

    return hold


def filling(http: httpx.Client, content: bytes, **fields: str) -> str:
    answer = upload(http, content, **{"image_size": "16", "channels": "1"} | fields)
    assert answer.status_code == 202, answer.text
    assert answer.json()["status"] == "ingesting"
    return str(answer.json()["id"])


def submit(http: httpx.Client, body: dict[str, Any], path: str = JOBS, **headers: str) -> dict[str, Any]:
    answer = http.post(path, json=body, headers=headers)
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    return job


def shown(http: httpx.Client, job_id: str) -> dict[str, Any]:
    job: dict[str, Any] = get(http, f"{JOBS}/{job_id}")
    return job


def test_a_job_waits_for_its_data_set_and_is_decided_when_it_is_ready(
    service: ServerProcess,
    http: httpx.Client,
    connect: Callable[..., httpx.Client],
    unfilled: Callable[..., Any],
    wait_for: WaitFor,
) -> None:
    with unfilled(http):
        dataset = filling(http, sides(), name="sides")
        body = {"dataset": "sides", "epochs": 3, "tags": ["patient"]}
        job = submit(http, body, **{"Idempotency-Key": "waits"})
        assert job["status"] == "queued"
        assert job["waiting_for"]["dataset"] == dataset
        assert job["dataset"] == dataset
        assert job["name"] == "sides"
        assert job["queue_position"] is None
        assert job["progress"]["stage"] == "waiting"
        assert job["epochs"] == 3
        undecided = (
            "architecture",
            "architecture_source",
            "batch_size",
            "optimizer",
            "loss",
            "dataset_images",
        )
        assert {name: job[name] for name in undecided} == dict.fromkeys(undecided)
        assert job["chosen"] == []
        assert submit(http, body, **{"Idempotency-Key": "waits"}) == job
        assert job["id"] in [each["id"] for each in get(http, f"{JOBS}?tag=patient&status=queued")["data"]]

        # whoever comes later and has its data goes first
        later = submit(http, TRAINING)
        assert later["queue_position"] is not None
        assert wait_end(http, later["id"], wait_for)["status"] == "succeeded"

        # one that is cancelled leaves the data set to the others
        other = submit(http, body)
        cancelled = http.post(f"{JOBS}/{other['id']}/cancel").json()
        assert (cancelled["status"], cancelled["waiting_for"]) == ("cancelled", None)
        assert http.delete(f"{JOBS}/{other['id']}").status_code == 204
        assert get(http, f"/v1/datasets/{dataset}")["status"] == "ingesting"
        assert http.delete(f"/v1/datasets/{dataset}").status_code == 409

        service.kill()
        service.start()
        with connect(service._address() or "") as again:
            assert shown(again, job["id"]) == job
    with connect(service._address() or "") as again:
        done = wait_end(again, job["id"], wait_for)
        assert done["status"] == "succeeded", done["error"]
        assert done["waiting_for"] is None
        assert done["dataset_images"] == 40
        assert done["memory_bytes"] > 0
        # all is as if it were asked for now
        now = submit(again, body)
        again.post(f"{JOBS}/{now['id']}/cancel")
        assert now["chosen"][0]["field"] == "architecture"
        same = (
            "chosen",
            "architecture",
            "architecture_source",
            "batch_size",
            "optimizer",
            "warnings",
            "seed",
        )
        assert {name: done[name] for name in same} == {name: now[name] for name in same}
        model = get(again, f"/v1/models/{done['model_id']}")
        assert (model["name"], model["tags"]) == ("sides", ["patient"])


def test_what_does_not_depend_on_the_pictures_is_refused_at_once(
    http: httpx.Client, unfilled: Callable[..., Any]
) -> None:
    def refused(**body: Any) -> tuple[str, str]:
        answer = http.post(JOBS, json={"dataset": dataset} | body)
        assert answer.status_code == 422, answer.text
        (error,) = answer.json()["errors"]
        assert error["hint"]
        return error["pointer"], error["detail"]

    dense = {"type": "dense", "units": 2}
    with unfilled(http):
        dataset = filling(http, sides())
        assert refused(architecture={"preset": "lenet"})[0] == "/architecture/preset"
        assert refused(architecture="arch_gone")[0] == "/architecture"
        assert refused(initial_weights="gone")[0] == "/initial_weights"
        assert refused(train="head")[0] == "/initial_weights"
        assert refused(architecture=DENSE, train="head")[0] == "/train"
        pooled = {"input_shape": [16, 16, 1], "layers": [{"type": "max_pool2d", "pool_size": 40}, dense]}
        assert refused(architecture=pooled)[0] == "/architecture/layers/0/pool_size"
        place, detail = refused(architecture=DENSE | {"input_shape": [28, 28, 1]})
        assert (place, "28x28x1" in detail) == ("/architecture/input_shape", True)
        assert refused(architecture=DENSE, freeze=["conv2d_*"])[0] == "/freeze/0"
        assert refused(architecture=DENSE, learning_rate_factors={"conv*": 0.1})[0].startswith("/learning")
        place, detail = refused(initial_weights="model_example")
        assert (place, "16x16x1" in detail) == ("/dataset", True)
        colours = {"dataset": filling(http, sides(), channels="3"), "train": {"from": "residual_99"}}
        assert refused(initial_weights="mobilenet-v2-imagenet", **colours)[0] == "/train/from"
        assert refused(webhook={"url": "https://example.com/"})[0] == "/webhook"  # there is no secret
        assert http.post(JOBS, json={"dataset": dataset, "epochs": 0}).status_code == 422
        unlike = http.post(EVALUATIONS, json={"model": "model_example", "dataset": dataset})
        assert (unlike.status_code, unlike.json()["errors"][0]["pointer"]) == (422, "/dataset")
        assert "[28, 28, 1]" in unlike.json()["detail"]


THREE_OUTPUTS = {"architecture": DENSE | {"layers": [{"type": "flatten"}, {"type": "dense", "units": 3}]}}


def test_what_turns_out_not_to_fit_fails_with_the_words_of_a_refusal(
    http: httpx.Client, unfilled: Callable[..., Any], wait_for: WaitFor
) -> None:
    weights = {"loss": {"type": "softmax_cross_entropy", "class_weights": [1.0, 2.0, 3.0]}}
    bodies = [THREE_OUTPUTS, {"architecture": DENSE} | weights, weights]
    with unfilled(http):
        dataset = filling(http, sides(4))
        jobs = [submit(http, body | {"dataset": dataset}) for body in bodies]
        digits = filling(http, sides(), image_size="28")
        evaluation = submit(http, {"model": "model_example", "dataset": digits}, EVALUATIONS)
        assert evaluation["waiting_for"]["dataset"] == digits
        assert http.delete("/v1/models/model_example").status_code == 409
    for body, job in zip(bodies, jobs, strict=True):
        failed = wait_end(http, job["id"], wait_for)
        refusal = http.post(JOBS, json=body | {"dataset": dataset})
        assert refusal.status_code == 422
        problem = refusal.json()
        assert failed["status"] == "failed"
        assert failed["attempt"] == 0
        assert failed["error"]["message"] == f"{problem['detail']}; {problem['errors'][0]['hint']}"
        assert http.post(JOBS, json={"continue_from": job["id"]}).status_code == 409
    ended = wait_for(
        lambda: (found := get(http, f"{EVALUATIONS}/{evaluation['id']}"))["finished_at"] and found, "its end"
    )
    assert ended["status"] == "failed"
    assert "no class" in ended["error"]["message"]


def test_a_job_fails_with_its_data_set(
    http: httpx.Client, unfilled: Callable[..., Any], wait_for: WaitFor
) -> None:
    with unfilled(http):
        broken = filling(
            http, packed({f"cat/{number}.png": b"no picture" for number in range(9)} | {"dog/1.png": b"none"})
        )
        stopped = filling(http, sides())
        jobs = [submit(http, {"dataset": dataset}) for dataset in (broken, stopped)]
        unread = filling(http, sides(), image_size="28")
        judged = submit(http, {"model": "model_example", "dataset": unread}, EVALUATIONS)
        for dataset in (stopped, unread):
            assert http.post(f"/v1/datasets/{dataset}/cancel").status_code == 202
        assert wait_end(http, jobs[1]["id"], wait_for)["status"] == "failed"
        assert shown(http, jobs[0]["id"])["status"] == "queued"
    reason = wait_made(http, broken, wait_for)["error"]["message"]
    for job, said in zip(jobs, (reason, "the upload was cancelled"), strict=True):
        error = wait_end(http, job["id"], wait_for)["error"]
        assert error["code"] == "dataset_not_ready"
        assert said in error["message"]
        assert job["dataset"] in error["message"]
        # read by people on the page, who make no calls
        assert error["message"].endswith("; upload it again")
    wait_for(lambda: get(http, f"{EVALUATIONS}/{judged['id']}")["status"] == "failed", "the evaluation's end")
    for dataset in (broken, stopped, unread):
        assert http.delete(f"/v1/datasets/{dataset}").status_code == 204


def test_a_transfer_and_an_evaluation_wait_and_succeed(
    http: httpx.Client, unfilled: Callable[..., Any], wait_for: WaitFor
) -> None:
    layers = [{"type": "conv2d", "filters": 2, "kernel_size": 5, "stride": 2}, *DENSE["layers"]]
    first = submit(
        http,
        {"architecture": DENSE | {"layers": layers}, "dataset": filling(http, sides()), "name": "learned"},
    )
    learned = wait_end(http, first["id"], wait_for)
    assert learned["status"] == "succeeded", learned["error"]
    with unfilled(http):
        dataset = filling(http, sides(10), name="fewer sides")
        transfer = submit(http, {"initial_weights": "learned", "dataset": dataset, "train": "all"})
        assert transfer["initial_weights"] == learned["model_id"]
        assert transfer["architecture_source"] == {"model": learned["model_id"]}
        evaluation = submit(http, {"model": "learned@1", "dataset": "fewer sides"}, EVALUATIONS)
        assert evaluation["dataset_images"] is None
        refused = http.delete(f"/v1/models/{learned['model_id']}")
        assert refused.status_code == 409
        assert transfer["id"] in refused.json()["detail"]
    done = wait_end(http, transfer["id"], wait_for)
    assert done["status"] == "succeeded", done["error"]
    assert done["head_epochs"] > 0
    ended = wait_for(
        lambda: (found := get(http, f"{EVALUATIONS}/{evaluation['id']}"))["finished_at"] and found, "its end"
    )
    assert ended["status"] == "succeeded", ended["error"]
    assert (ended["dataset_images"], ended["waiting_for"]) == (20, None)
