"""A row that cannot be read stops nothing but itself: not the start, not the queue; it says so, and can be deleted."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.api.requests.dataset_pictures import EXAMPLE_PICTURE
from app.cli.launch import ServerProcess
from app.store.database import DATABASE_NAME
from tests.jobs.service import until

pytestmark = pytest.mark.local

NETWORK = {"input_shape": [28, 28, 1], "layers": [{"type": "flatten"}, {"type": "dense", "units": 10}]}
TRAINING = {"architecture": NETWORK, "dataset": "digits", "epochs": 1}

QUEUED: dict[str, dict[str, Any]] = {
    "no_object": {"request": "7"},
    "no_json": {"request": "{{"},
    "empty": {"request": "{}"},
    "files": {"request": '{"files": 7, "upload": [3]}'},
    "kind": {"kind": "juggling"},
    "progress": {"progress": "[]"},
    "checkpoint": {"checkpoint": '{"name": '},
    "time": {"started_at": "yesterday"},
    "made": {"created_at": "yesterday"},
    "number": {"memory_bytes": "much"},
}
"""Columns of training jobs that wait, before the one that is good, by the end of their ids."""

QUEUES: dict[str, dict[str, Any]] = {
    "job_upload": {"kind": "ingestion", "request": "[]", "dataset_id": "ds_waits"},
    "job_adds": {"kind": "addition", "request": '{"files": [1, {}]}', "dataset_id": "digits"},
    "eval_bad": {"kind": "evaluation", "request": '"x"', "dataset_id": "digits"},
    "batch_bad": {"kind": "batch_prediction", "request": "{{"},
}
"""The same in other queues."""

OTHERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "ds_json": ("datasets", "digits", {"classes": "{{"}),
    "ds_type": ("datasets", "digits", {"options": "7", "status": "failed"}),
    "ds_deep": ("datasets", "digits", {"report": '{"strange": 1}'}),
    "ds_options": ("datasets", "digits", {"options": '{"picture": 7}'}),
    "ds_target": (
        "datasets",
        "digits",
        {"options": '{"picture": {"image_shape": [8, 8, 1]}, "target": "luck"}'},
    ),
    "ds_classes": ("datasets", "digits", {"classes": "[7]"}),
    "ds_names": ("datasets", "digits", {"classes": '[{"name": 7, "images": 1}]'}),
    "ds_nameless": ("datasets", "digits", {"classes": '[{"images": 3}]'}),
    "ds_shape": ("datasets", "digits", {"image_shape": '["a"]'}),
    "ds_splits": ("datasets", "digits", {"splits": '{"train": "many"}'}),
    "ds_waits": ("datasets", "digits", {"status": "ingesting"}),
    "model_json": ("models", "model_example", {"architecture": "[1"}),
    "model_type": ("models", "model_example", {"metrics": "[]"}),
    "model_odd": ("models", "model_example", {"preprocessing": '{"picture": 7}'}),
    "model_classes": ("models", "model_example", {"classes": '[{"name": 7}]'}),
    "model_shape": ("models", "model_example", {"input_shape": '["a"]'}),
    "model_target": ("models", "model_example", {"target": "luck"}),
    "model_empty": ("models", "model_example", {"preprocessing": "{}"}),
    "model_time": ("models", "model_example", {"created_at": "yesterday"}),
    "arch_json": ("architectures", "arch_example", {"architecture": "{{"}),
    "arch_type": ("architectures", "arch_example", {"architecture": "7"}),
    "arch_odd": ("architectures", "arch_example", {"architecture": '{"layers": [[[]]]}'}),
}
"""Rows of other tables: the table, the row that they are like, and what is different."""

HALF: dict[str, tuple[str, str, dict[str, Any]]] = {
    "ds_more": ("datasets", "digits", {"images": 1_000_000}),
    "ds_fewer": ("datasets", "digits", {"classes": '[{"name": "0", "images": 178}]'}),
    "model_few": ("models", "model_example", {"classes": '["0", "1"]'}),
    "model_labels": ("models", "model_example", {"target": "labels"}),
    "model_small": (
        "models",
        "model_example",
        {"preprocessing": '{"picture": {"image_shape": [5, 5, 1]}, "mean": [0], "deviation": [1]}'},
    ),
}
"""Rows that can be shown, but do not fit the files that they are about."""

ENDED: dict[str, dict[str, Any]] = {
    "job_old": {"kind": "training", "metrics": "{{"},
    "job_asleep": {"kind": "training", "status": "asleep"},
    "eval_old": {"kind": "evaluation", "request": "{}"},
    "batch_old": {"kind": "batch_prediction", "request": '{"images": 3}'},
    "job_error": {"kind": "training", "status": "failed", "error": '"broken"'},
}
NORMS = {
    "job_norms_keys": ['{"dense_1": {"gradient": 1.0}}'],
    "job_norms_number": ['{"dense_1": 7}'],
    "job_norms_word": ['{"dense_1": {"gradient": "x", "largest_gradient": 1.0, "weight": 1.0}}'],
    "job_norms_nothing": ["{}"],
    "job_norms_other_nodes": [
        '{"dense_1": {"gradient": 1.0, "largest_gradient": 1.0, "weight": 1.0}}',
        '{"dense_2": {"gradient": 1.0, "largest_gradient": 1.0, "weight": 1.0}}',
    ],
}
"""Norms of the epochs of training jobs that have ended."""
PLACES = {"job": "training-jobs", "eval": "evaluations", "batch": "batch-predictions", "ds": "datasets"}
PLACES |= {"model": "models", "arch": "architectures"}


def place(identifier: str) -> str:
    """Return where a record is."""
    return f"/v1/{PLACES[identifier.partition('_')[0]]}/{identifier}"


def insert(
    database: sqlite3.Connection, table: str, like: str, identifier: str, changes: dict[str, Any]
) -> None:
    database.row_factory = sqlite3.Row
    row = dict(database.execute(f"SELECT * FROM {table} WHERE id = ?", (like,)).fetchone())  # noqa: S608
    row |= {"id": identifier, "builtin": 0} | changes
    if table == "models":
        row |= {"name": identifier, "path": f"models/{identifier}.safetensors"}
    marks = ", ".join(f":{name}" for name in row)
    database.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", row)  # noqa: S608


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory, connect) -> Iterator[tuple[httpx.Client, Path]]:
    """A server that was started on a database with damaged rows."""
    folder = tmp_path_factory.mktemp("damaged")
    data = folder / "data"
    with ServerProcess(data, folder / "log"):
        pass
    waits = {"status": "queued", "attempt": 0, "started_at": None, "finished_at": None, "model_id": None}
    with closing(sqlite3.connect(data / DATABASE_NAME)) as database:
        for name, columns in QUEUED.items():
            insert(database, "jobs", "job_example", f"job_{name}", waits | columns)
        for name, columns in QUEUES.items():
            insert(database, "jobs", "job_example", name, waits | columns)
        for name, columns in ENDED.items():
            insert(database, "jobs", "job_example", name, columns)
        for name, epochs in NORMS.items():
            insert(database, "jobs", "job_example", name, {})
            rows = [(name, epoch, "{}", norms) for epoch, norms in enumerate(epochs, 1)]
            database.executemany(
                "INSERT INTO epochs (job_id, epoch, figures, norms) VALUES (?, ?, ?, ?)", rows
            )
        for name, (table, like, columns) in (OTHERS | HALF).items():
            insert(database, table, like, name, columns)
            if table == "datasets":
                query = "INSERT INTO segments SELECT ?, number, images, path, sha256 FROM segments WHERE dataset_id = ?"
                database.execute(query, (name, like))
        # What is built in is looked for at every start.
        database.execute("UPDATE architectures SET architecture = '{{' WHERE id = 'arch_example'")
        database.execute("UPDATE jobs SET progress = '{{' WHERE id = 'job_example'")
        (example,) = database.execute("SELECT path FROM models WHERE id = 'model_example'").fetchone()
        database.commit()
    for name in OTHERS | HALF:
        if name.startswith("ds"):
            (data / "datasets" / name).mkdir()
        if name.startswith("model"):
            shutil.copy(data / example, data / "models" / f"{name}.safetensors")
    with ServerProcess(data, folder / "log", {"CORES": "1"}) as url, connect(url) as client:
        yield client, data


@pytest.mark.slow
def test_the_queue_goes_on_behind_jobs_that_cannot_be_read(damaged, finished) -> None:
    client, _ = damaged
    job = client.post("/v1/training-jobs", json=TRAINING)
    assert job.status_code == 202, job.text
    assert finished(client, job.json()["id"])["status"] == "succeeded"


@pytest.mark.parametrize("identifier", [f"job_{name}" for name in QUEUED] + list(QUEUES))
def test_a_job_that_cannot_be_read_fails_and_says_why(damaged, identifier: str) -> None:
    _, data = damaged

    def end() -> tuple[str, str] | None:
        with closing(sqlite3.connect(data / DATABASE_NAME)) as database:
            query = "SELECT status, error FROM jobs WHERE id = ? AND finished_at IS NOT NULL"
            found: tuple[str, str] | None = database.execute(query, (identifier,)).fetchone()
            return found

    status, error = until(end, f"the end of {identifier}")
    assert status == "failed"
    assert '"code":"invalid"' in error


def test_the_events_of_such_a_job_tell_its_end(damaged) -> None:
    client, _ = damaged
    answer = client.get(f"{place('job_no_json')}/events")
    assert answer.status_code == 200
    assert "event: end" in answer.text
    assert '"invalid"' in answer.text


def test_a_data_set_that_such_a_job_was_to_fill_fails(damaged) -> None:
    client, _ = damaged

    def failed() -> bool:
        return client.get("/v1/datasets/ds_waits").json()["status"] == "failed"

    until(failed, "the end of the data set")
    assert client.get("/v1/datasets/ds_waits").json()["error"]["code"] == "invalid"


UNREADABLE = [
    *(f"job_{name}" for name in QUEUED if name not in ("kind", "files", "empty")),
    *("eval_bad", "batch_bad"),
    *(name for name in ENDED),
    *(name for name in OTHERS if name not in ("ds_waits", "ds_deep")),
]


READS = [
    *(f"/v1/datasets/{{}}/{call}" for call in ("images/0", "samples", "statistics", "additions")),
    *(f"/v1/models/{{}}{call}" for call in ("", "/weights", "/filters", "/filters?node=dense_1")),
    *(f"/v1/architectures/{{}}{call}" for call in ("", "/diagram")),
]
LOOKS = ("predict", "preprocess", "activations", "activations?node=input", "embedding")
LOOKS += ("trace?node=input&position=0,0,0", "explanations")


def calls(identifier: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield calls that use a record by itself, or as a part of their body."""
    resource = PLACES[identifier.partition("_")[0]]
    for path in READS:
        if path.startswith(f"/v1/{resource}/"):
            yield "GET", path.format(identifier), {}
    if resource == "models":
        for look in LOOKS:
            yield "POST", f"/v1/models/{identifier}/{look}", {"images": [EXAMPLE_PICTURE]}
        yield "POST", "/v1/evaluations", {"model": identifier, "dataset": "digits"}
        yield "POST", "/v1/batch-predictions", {"model": identifier, "dataset": "digits"}
        yield "POST", "/v1/training-jobs", TRAINING | {"initial_weights": identifier}
        step = {"images": [EXAMPLE_PICTURE], "targets": [3]}
        yield "POST", "/v1/training-steps", {"weights": {"model": identifier}} | step
    elif resource == "datasets":
        addition = {"label": "3", "images": [EXAMPLE_PICTURE], "dry_run": True}
        yield "POST", f"/v1/datasets/{identifier}/images", addition
        yield "POST", f"/v1/datasets/{identifier}/augmentation-preview", {"augmentations": []}
        yield "POST", "/v1/evaluations", {"model": "model_example", "dataset": identifier}
        yield "POST", "/v1/training-jobs", TRAINING | {"dataset": identifier}
        yield "POST", "/v1/training-steps", {"architecture": NETWORK, "dataset": identifier, "indices": [0]}
    elif resource == "architectures":
        yield "POST", "/v1/architectures/compare", {"architectures": [identifier, {"preset": "lenet-5"}]}
        yield "POST", "/v1/training-jobs", TRAINING | {"architecture": identifier}


@pytest.mark.parametrize("identifier", [*OTHERS, *HALF])
def test_no_call_takes_a_damaged_row_for_a_fault_of_the_server(damaged, identifier: str) -> None:
    client, _ = damaged
    failed = []
    for method, path, body in calls(identifier):
        answer = client.request(method, path, json=body or None)
        if answer.status_code >= 500:
            failed.append(f"{method} {path}: {answer.text}")
        if answer.status_code == 202:
            client.post(f"{answer.headers['location']}/cancel")
    assert not failed, "\n".join(failed)


def test_the_others_are_found_by_name_and_tag(damaged) -> None:
    client, _ = damaged
    for resource in ("training-jobs", "models", "datasets"):
        for condition in ("name=nobody", "tag=nothing"):
            answer = client.get(f"/v1/{resource}?{condition}")
            assert (answer.status_code, answer.json().get("data")) == (200, []), answer.text
    refused = client.post("/v1/training-jobs", json={"continue_from": "nobody"})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/continue_from")
    copied = client.get("/v1/models/model_example/weights").content
    raw = {"Content-Type": "application/octet-stream"}
    model = client.post("/v1/models/import?name=copy", content=copied, headers=raw).json()
    assert client.delete(f"/v1/models/{model['id']}").status_code == 204


@pytest.mark.parametrize("identifier", [*UNREADABLE, "arch_example", "job_example"])
def test_what_cannot_be_read_says_so_and_can_be_deleted(damaged, identifier: str) -> None:
    client, data = damaged
    if identifier.removeprefix("job_") in QUEUED or identifier in QUEUES:
        test_a_job_that_cannot_be_read_fails_and_says_why(damaged, identifier)
    answer = client.get(place(identifier))
    assert answer.status_code == 409, answer.text
    problem = answer.json()
    assert problem["type"] == "/problems/damaged"
    assert identifier in problem["detail"]
    assert "DELETE" in problem["detail"]
    assert client.delete(place(identifier)).status_code == 204
    assert client.get(place(identifier)).status_code == 404
    assert not list(data.glob(f"*/{identifier}*"))


@pytest.mark.parametrize("identifier", NORMS)
@pytest.mark.parametrize("form", ["application/json", "image/svg+xml"])
def test_norms_that_cannot_be_read_say_so(damaged, identifier: str, form: str) -> None:
    client, _ = damaged
    answer = client.get(f"{place(identifier)}/norms", headers={"Accept": form})
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/damaged"), answer.text


@pytest.mark.parametrize("resource", sorted(PLACES.values()))
def test_lists_are_answered_in_pages_of_any_size(damaged, resource: str) -> None:
    client, _ = damaged
    after: dict[str, str] = {}
    for _ in range(50):
        answer = client.get(f"/v1/{resource}", params={"limit": 1, **after})
        assert answer.status_code == 200, answer.text
        if (following := answer.json()["next"]) is None:
            break
        after = {"after": following}
    assert answer.json()["next"] is None
