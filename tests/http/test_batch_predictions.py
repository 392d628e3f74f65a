"""Batch predictions over HTTP, by real workers, held against predictions asked for one by one."""

import base64
import csv
import io
import os
import signal
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from app.cli.launch import ServerProcess
from app.files.locks import is_locked, read_holder
from tests.digits import load_digits

BATCHES = "/v1/batch-predictions"
FINISHED = {"succeeded", "failed", "cancelled"}

Connect = Callable[..., httpx.Client]
WaitFor = Callable[..., Any]


def png(array: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(array, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def packed(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), content)
    return buffer.getvalue()


def digits(count: int) -> dict[str, bytes]:
    found = load_digits()
    positions = np.flatnonzero(found.splits == 2)[:count]
    return {
        f"page/{number:04}.png": png(found.images[at][..., 0]) for number, at in enumerate(positions.tolist())
    }


@pytest.fixture(scope="module")
def slow_archive() -> bytes:
    """Many pictures of which each takes a while to decode."""
    shades = [png(np.full((2400, 2400), shade)) for shade in (10, 120, 240)]
    return packed({f"{number:03}.png": shades[number % 3] for number in range(200)} | {"200.png": b"no"})


def submit(http: httpx.Client, archive: bytes, **fields: Any) -> str:
    answer = http.post(
        BATCHES, data={"model": "model_example", **fields}, files={"file": ("scans.zip", archive)}
    )
    assert answer.status_code == 202, answer.text
    assert answer.headers["retry-after"]
    location: str = answer.headers["location"]
    assert location == f"{BATCHES}/{answer.json()['id']}"
    return location


def ended(http: httpx.Client, address: str, wait_for: WaitFor) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found = http.get(address).json()
        return found if found["status"] in FINISHED else None

    found: dict[str, Any] = wait_for(look, f"the end of {address}")
    return found


def table(http: httpx.Client, address: str) -> list[dict[str, str]]:
    answer = http.get(f"{address}/result")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/csv; charset=utf-8")
    return list(csv.DictReader(io.StringIO(answer.content.decode(), newline="")))


def test_the_table_says_what_predictions_say(http: httpx.Client, wait_for: WaitFor) -> None:
    files = digits(150)
    odd = {
        "=1+1.png": next(iter(files.values())),
        "notes.txt": b"no picture",
        "Étude/cut.png": png([[1]])[:40],
    }
    hidden = {"__MACOSX/a.png": b"-", ".DS_Store": b"-"}
    address = submit(http, packed(files | odd | hidden), top_k=2)
    batch = ended(http, address, wait_for)
    assert batch["status"] == "succeeded", batch
    assert (batch["model_id"], batch["filename"], batch["top_k"]) == ("model_example", "scans.zip", 2)
    assert batch["progress"] == {"images": 153, "failed": 2, "of": 153, "fraction": 1.0}
    rows = table(http, address)
    assert list(rows[0]) == [
        *("filename", "label", "class_index", "probability"),
        *("label_2", "class_index_2", "probability_2", "error"),
    ]
    assert [row["filename"] for row in rows] == ["'=1+1.png", "notes.txt", *sorted(files), "Étude/cut.png"]
    faults = {row["filename"]: row for row in rows if row["error"]}
    assert set(faults) == {"notes.txt", "Étude/cut.png"}
    assert "no picture" in faults["notes.txt"]["error"]
    assert {faults["notes.txt"][name] for name in ("label", "probability", "label_2")} == {""}

    looked = [("files", (name, content)) for name, content in files.items()]
    answer = http.post("/v1/models/model_example/predict", params={"top_k": 2}, files=looked).json()
    for row, seen in zip(rows[2:-1], answer["data"], strict=True):
        for candidate, suffix in zip(seen["top"], ("", "_2"), strict=True):
            assert row[f"label{suffix}"] == candidate["label"]
            assert row[f"class_index{suffix}"] == str(candidate["class_index"])
            shown = float(row[f"probability{suffix}"])
            assert shown == pytest.approx(candidate["probability"], rel=1e-4, abs=1e-6)
    assert [batch["id"]] == [
        entry["id"] for entry in http.get(BATCHES).json()["data"] if entry["id"] == batch["id"]
    ]
    assert http.get(f"/v1/training-jobs/{batch['id']}").status_code == 404
    assert http.get(f"{BATCHES}/job_example").status_code == 404
    assert http.post(f"{address}/cancel").status_code == 409
    assert http.delete(address).status_code == 204
    assert http.get(f"{address}/result").status_code == 404


def test_in_json_by_a_name_and_no_more_classes_than_there_are(http: httpx.Client, wait_for: WaitFor) -> None:
    archive = packed(digits(1))
    body = {"model": "lenet-5-digits@1", "top_k": 50, "file": base64.b64encode(archive).decode()}
    answer = http.post(BATCHES, json=body)
    assert answer.status_code == 202, answer.text
    assert answer.json()["model_id"] == "model_example"
    assert ended(http, answer.headers["location"], wait_for)["status"] == "succeeded"
    (row,) = table(http, answer.headers["location"])
    assert sum(
        float(value) for name, value in row.items() if name.startswith("probability")
    ) == pytest.approx(1, abs=1e-3)
    assert "label_10" in row
    assert "label_11" not in row


def test_what_cannot_be_looked_at_is_refused_at_once(http: httpx.Client) -> None:
    good = packed(digits(1))

    def fault(archive: bytes, **fields: str) -> tuple[int, str | None]:
        data = {"model": "model_example", **fields}
        answer = http.post(BATCHES, data=data, files={"file": ("a.zip", archive)})
        errors = answer.json().get("errors") or [{}]
        return answer.status_code, errors[0].get("parameter")

    assert fault(b"no archive") == (422, "file")
    assert fault(good, model="model_no") == (422, "model")
    assert fault(good, top_k="0") == (422, "top_k")
    assert fault(good, top_k="many") == (422, "top_k")
    assert fault(good, more="x") == (422, "more")
    assert fault(good[:-30])[0] == 422
    assert fault(packed({"../up.png": b"x"}))[0] == 422
    assert fault(packed({".hidden": b"x"}))[0] == 422
    encoded = base64.b64encode(good).decode()
    for change, pointer in (
        ({"model": "m@no"}, "/model"),
        ({"file": "?"}, "/file"),
        ({"top_k": "3"}, "/top_k"),
    ):
        answer = http.post(BATCHES, json={"model": "model_example", "file": encoded, **change})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


def uploads(service: ServerProcess) -> list[Path]:
    return list((service.data_dir / "uploads").glob("*"))


@pytest.mark.slow
def test_cancelled_or_deleted_it_leaves_nothing_and_its_model_stays_until_then(
    start: Callable[..., ServerProcess], connect: Connect, wait_for: WaitFor, slow_archive: bytes
) -> None:
    service = start()
    with connect(service.start()) as http:
        weights = http.get("/v1/models/model_example/weights").content
        raw = {"Content-Type": "application/octet-stream"}
        model = http.post("/v1/models/import", params={"name": "mine"}, content=weights, headers=raw).json()[
            "id"
        ]
        running, waiting, deleted = (submit(http, slow_archive, model="mine@1") for _ in range(3))
        wait_for(lambda: http.get(running).json()["progress"]["images"], "the first pictures")
        refused = http.get(f"{running}/result")
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/not-finished")
        assert http.delete(running).status_code == 409
        refused = http.delete(f"/v1/models/{model}")
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/in-use")
        assert running.rpartition("/")[2] in refused.json()["detail"]
        evaluation = http.post("/v1/evaluations", json={"model": model, "dataset": "digits"})
        assert http.post(f"{waiting}/cancel").json()["status"] == "cancelled"
        assert http.delete(deleted).status_code == 204
        assert len(uploads(service)) == 1
        assert http.post(f"{running}/cancel").status_code == 202
        assert ended(http, running, wait_for)["status"] == "cancelled"
        assert uploads(service) == []
        ended(http, evaluation.headers["location"], wait_for)
        assert http.delete(f"/v1/models/{model}").status_code == 204
    service.stop()


@pytest.mark.slow
def test_it_survives_kill_9_of_its_worker_and_of_the_server(
    start: Callable[..., ServerProcess], connect: Connect, wait_for: WaitFor, slow_archive: bytes
) -> None:
    service = start(CHECKPOINT_SECONDS="0.1", HEARTBEAT_TIMEOUT="600")
    with connect(service.start()) as http:
        undisturbed = submit(http, slow_archive)
        address = submit(http, slow_archive)
        job = address.rpartition("/")[2]
        folder = service.data_dir / "jobs" / job
        assert ended(http, undisturbed, wait_for)["progress"]["failed"] == 1
        wait_for(lambda: list(folder.glob("part-*")), "a part of the table")
        service.kill()
        pid = read_holder(folder / "lock")
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not is_locked(folder / "lock"), "the end of the worker")
        assert not (folder / "predictions.csv").exists()
    with connect(service.start()) as http:
        batch = ended(http, address, wait_for)
        assert (batch["status"], batch["attempt"]) == ("succeeded", 2), batch
        assert batch["progress"] == {"images": 201, "failed": 1, "of": 201, "fraction": 1.0}
        assert "goes on after" in (folder / "attempt-2.log").read_text()
        assert http.get(f"{address}/result").content == http.get(f"{undisturbed}/result").content
        wait_for(lambda: not list(folder.glob("part-*")), "the removal of the parts")
        wait_for(lambda: uploads(service) == [], "the removal of the archive")
    service.stop()
