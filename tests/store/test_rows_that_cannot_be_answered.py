"""What files bring is held against the rules of request bodies; rows of before that was so take no list down."""

import json
import sqlite3
import struct
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from app.cli.launch import ServerProcess
from app.text import document_fault, is_writable, repaired

LONE = "\ud800"
FLAT = {"type": "flatten"}


def nested(levels: int) -> Any:
    document: Any = 1
    for _ in range(levels):
        document = [document]
    return document


def changed(content: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """Change the description in a model file."""
    (size,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + size])
    ((key, text),) = header["__metadata__"].items()
    description = json.loads(text)
    change(description)
    header["__metadata__"][key] = json.dumps(description)
    written = json.dumps(header).encode()
    written += b" " * (-len(written) % 8)
    return struct.pack("<Q", len(written)) + written + content[8 + size :]


CHANGES: dict[str, Callable[[dict[str, Any]], None]] = {
    "half a pair in a class": lambda file: file["classes"].__setitem__(0, LONE),
    "a control character in a class": lambda file: file["classes"].__setitem__(0, "a\x00"),
    "an endless class": lambda file: file["classes"].__setitem__(0, "x" * 256),
    "a class twice": lambda file: file["classes"].__setitem__(0, file["classes"][1]),
    "deep metadata": lambda file: file["metadata"].__setitem__("training", nested(300)),
    "half a pair in the metadata": lambda file: file["metadata"].__setitem__("dataset", {LONE: 1}),
    "a control character in the metadata": lambda file: file["metadata"].__setitem__("dataset", "\x1b[31m"),
    "endless metadata": lambda file: file["metadata"].__setitem__("environment", ["x"] * 30_000),
    "an endless text": lambda file: file["metadata"].__setitem__("environment", "x" * 20_000),
    "a number beyond all": lambda file: file["metadata"].__setitem__("training", {"seed": 10**400}),
    "no number": lambda file: file["metadata"].__setitem__("training", float("nan")),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_model_file_that_no_answer_can_hold_is_refused(http: httpx.Client, change) -> None:
    content = http.get("/v1/models/model_example/weights").content
    answer = http.post("/v1/models/import", files={"file": ("m", changed(content, change))})
    assert answer.status_code == 422, answer.text
    assert http.get("/v1/models").status_code == 200


def test_a_model_file_that_was_not_changed_is_taken(http: httpx.Client) -> None:
    content = http.get("/v1/models/model_example/weights").content
    answer = http.post("/v1/models/import", files={"file": ("m", changed(content, lambda file: None))})
    assert answer.status_code == 201, answer.text
    assert http.delete(answer.headers["Location"]).status_code == 204


JOBS: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    "training-jobs": ("training", "job", {}, {}),
    "evaluations": (
        "evaluation",
        "eval",
        {"model": "model_example", "dataset": "digits", "dataset_images": 5, "split": "test"},
        {"dataset": LONE},
    ),
    "batch-predictions": (
        "batch_prediction",
        "batch",
        {"model": "model_example", "top_k": 3, "filename": "a.zip", "images": 1},
        {"filename": LONE},
    ),
}
"""By where jobs of a kind are: the kind, how their ids begin, a request, and what of it cannot be answered."""


def bad_jobs(kind: str, prefix: str, request: dict[str, Any], bad: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of jobs by their ids: a good one, those that can be repaired, those that cannot."""
    same = {"kind": kind, "status": "cancelled", "model_id": None} | (
        {"request": json.dumps(request), "progress": "{}", "metrics": None} if request else {}
    )
    changes = {
        "good": {},
        "bad": {"request": json.dumps(request | bad)} if bad else {},
        "error": {"error": json.dumps({"code": "x", "message": LONE})},
        "deep_odd": {"error": json.dumps({"code": "x", "message": nested(300)})},
        "shape_odd": {"request": "7", "progress": "[]"},
        "text_odd": {"progress": "{{"},
        "status_odd": {"status": "asleep"},
        "time_odd": {"finished_at": "yesterday"},
    }
    return {f"{prefix}_{name}": same | columns for name, columns in changes.items()}


@pytest.fixture(scope="module")
def old(
    tmp_path_factory: pytest.TempPathFactory, connect
) -> Iterator[tuple[httpx.Client, list[str], list[str]]]:
    """A server whose database and files hold what an earlier version let in; the ids of data sets and models."""
    folder = tmp_path_factory.mktemp("old")
    with ServerProcess(folder / "data", folder / "log", {"CORES": "1"}) as url, connect(url) as client:
        datasets = {
            "ds_class": {"classes": [{"name": LONE, "images": 1}]},
            "ds_report": {"report": {"files": [{"name": f"{LONE}.png", "reason": LONE}]}},
            "ds_deep_odd": {"error": {"code": "x", "message": nested(300)}},
            "ds_odd": {"report": {"strange": nested(300)}},
        }
        models = {
            "model_class": {"classes": [LONE, "b"]},
            "model_figures": {"metrics": {"accuracy": 10**400, LONE: 1.5}},
            "model_deep": {"architecture": {"layers": nested(300)}},
            "model_odd": {"preprocessing": {"picture": 7}},
            "model_file": {},
        }
        made = client.post(
            "/v1/architectures", json={"name": "a", "input_shape": [2, 2, 1], "layers": [FLAT]}
        )
        architectures = {
            "arch_name": {"architecture": {"name": LONE, "layers": nested(300)}},
            "arch_odd": {"architecture": 7},
        }
        with sqlite3.connect(folder / "data" / "convserve.sqlite3") as database:
            insert(database, "architectures", made.json()["id"], architectures)
            insert(database, "datasets", "digits", datasets)
            insert(database, "models", "model_example", models)
            for facts in JOBS.values():
                insert_plain(database, "jobs", "job_example", bad_jobs(*facts))
            database.execute("UPDATE models SET path = 'models/deep' WHERE id = 'model_file'")
        database.close()
        content = client.get("/v1/models/model_example/weights").content
        (folder / "data" / "models").mkdir(exist_ok=True)
        path = folder / "data" / "models" / "deep"
        path.write_bytes(changed(content, CHANGES["deep metadata"]))
        with sqlite3.connect(folder / "data" / "convserve.sqlite3") as database:
            database.execute("UPDATE models SET bytes = ? WHERE id = 'model_file'", (path.stat().st_size,))
        database.close()
        yield client, list(datasets), list(models)


def insert(database: sqlite3.Connection, table: str, like: str, rows: dict[str, dict[str, Any]]) -> None:
    written = {
        identifier: {name: json.dumps(document) for name, document in documents.items()}
        for identifier, documents in rows.items()
    }
    insert_plain(database, table, like, written)


def insert_plain(database: sqlite3.Connection, table: str, like: str, rows: dict[str, Any]) -> None:
    columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
    first = database.execute(f"SELECT * FROM {table} WHERE id = ?", (like,)).fetchone()  # noqa: S608
    for version, (identifier, changes) in enumerate(rows.items(), 100):
        values = dict(zip(columns, first, strict=True)) | {"id": identifier, "builtin": 0} | changes
        if "version" in values:
            values["version"] = version
        marks = ", ".join("?" * len(columns))
        database.execute(f"INSERT INTO {table} VALUES ({marks})", list(values.values()))  # noqa: S608


@pytest.mark.parametrize("resource", ["datasets", "models"])
def test_one_bad_row_never_takes_a_list_down(old, resource: str) -> None:
    client, datasets, models = old
    answer = client.get(f"/v1/{resource}")
    assert answer.status_code == 200, answer.text
    shown = {row["id"]: row for row in answer.json()["data"]}
    inserted = datasets if resource == "datasets" else models
    # What is of another shape altogether is left out; all others are there, as they can be written.
    assert {name for name in inserted if not name.endswith("_odd")} <= set(shown)
    assert not {name for name in inserted if name.endswith("_odd")} & set(shown)
    for name in set(inserted) & set(shown):
        assert client.get(f"/v1/{resource}/{name}").status_code == 200
    names = shown[f"{'ds' if resource == 'datasets' else 'model'}_class"]["classes"]
    assert (names[0]["name"] if resource == "datasets" else names[0]) == "\ufffd"


@pytest.mark.parametrize("resource", JOBS)
def test_neither_does_a_job(old, resource: str) -> None:
    client, _, _ = old
    answer = client.get(f"/v1/{resource}")
    assert answer.status_code == 200, answer.text
    prefix = JOBS[resource][1]
    shown = {row["id"] for row in answer.json()["data"]}
    assert {f"{prefix}_{name}" for name in ("good", "bad", "error")} <= shown
    assert not {name for name in shown if name.endswith("_odd")}
    for name in ("good", "bad", "error"):
        assert client.get(f"/v1/{resource}/{prefix}_{name}").status_code == 200


@pytest.mark.parametrize("resource", JOBS)
def test_pages_go_on_beyond_rows_that_cannot_be_read(old, resource: str) -> None:
    client, _, _ = old
    whole = [row["id"] for row in client.get(f"/v1/{resource}").json()["data"]]
    found, after = [], None
    while True:
        page = client.get(f"/v1/{resource}", params={"limit": 1} | ({"after": after} if after else {})).json()
        found += [row["id"] for row in page["data"]]
        after = page["next"]
        if after is None:
            break
    assert found == whole


def test_jobs_start_beside_jobs_that_cannot_be_read(old, finished) -> None:
    client, _, _ = old
    flat = {"input_shape": [28, 28, 1], "layers": [FLAT, {"type": "dense", "units": 10}]}
    job = client.post("/v1/training-jobs", json={"architecture": flat, "dataset": "digits", "epochs": 1})
    assert job.status_code == 202, job.text
    assert finished(client, job.json()["id"])["status"] == "succeeded"


def test_neither_does_an_architecture(old) -> None:
    client, _, _ = old
    answer = client.get("/v1/architectures")
    assert answer.status_code == 200, answer.text
    assert "a" in {row["name"] for row in answer.json()["data"]}


def test_a_row_that_cannot_be_shown_is_named_in_the_log_and_can_be_deleted(old) -> None:
    client, _, _ = old
    assert client.get("/v1/models").status_code == 200
    assert client.delete("/v1/models/model_odd").status_code == 204
    assert client.get("/v1/models/model_odd").status_code == 404


@pytest.mark.parametrize("bad", [LONE, {LONE: 1}, nested(70), 1 << 64, -(1 << 63) - 1, float("inf"), "\x00"])
def test_what_no_answer_can_hold_is_found_wherever_it_lies(bad: Any) -> None:
    for document in (bad, [bad], {"a": [1, {"b": bad}]}):
        assert document_fault(document) is not None
        json.dumps(repaired(document), allow_nan=False, ensure_ascii=False).encode()
        assert is_writable(repaired(document))
    good = {"a": [1, 2.5, None, True, "ü\n", {"😀": -1}]}
    assert document_fault(good) is None
    assert repaired(good) is good
