"""Whatever the API answers is on the client's objects; what a later version may add does it no harm."""

import io
import json
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from pydantic import BaseModel

from app.client import Client

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ids:
    """Of things that are finished, so that they answer the same twice."""

    dataset: str
    addition: str
    evaluation: str
    batch: str
    job: str


def entry(entries: Any, identifier: str) -> Any:
    return next(entry for entry in entries if entry.id == identifier)


# For each GET that is answered with JSON, how the client makes it: one object, or a whole list.
CALLS: dict[str, Callable[[Client, Ids], Any]] = {
    "/v1/catalog/layers": lambda client, ids: client.catalog.layers(),
    "/v1/catalog/optimizers": lambda client, ids: client.catalog.optimizers(),
    "/v1/catalog/schedules": lambda client, ids: client.catalog.schedules(),
    "/v1/catalog/losses": lambda client, ids: client.catalog.losses(),
    "/v1/catalog/augmentations": lambda client, ids: client.catalog.augmentations(),
    "/v1/catalog/initializers": lambda client, ids: client.catalog.initializers(),
    "/v1/catalog/explanations": lambda client, ids: client.catalog.explanations(),
    "/v1/catalog/filters": lambda client, ids: client.catalog.filters(),
    "/v1/catalog/presets": lambda client, ids: client.catalog.presets(),
    "/v1/architectures/arch_example": lambda client, ids: client.architectures.get("arch_example"),
    "/v1/datasets/downloads": lambda client, ids: client.datasets.downloads(),
    "/v1/datasets/{dataset}": lambda client, ids: client.datasets.get(ids.dataset),
    "/v1/datasets/{dataset}/additions/{addition}": lambda client, ids: client.datasets.addition(
        ids.dataset, ids.addition
    ),
    "/v1/datasets/{dataset}/images": lambda client, ids: tuple(client.datasets.pictures(ids.dataset)),
    "/v1/datasets/{dataset}/images/0": lambda client, ids: client.datasets.picture_details(ids.dataset, 0),
    "/v1/datasets/{dataset}/corrections": lambda client, ids: tuple(client.datasets.corrections(ids.dataset)),
    "/v1/evaluations/{evaluation}/mistakes": lambda client, ids: client.evaluations.worst(ids.evaluation),
    "/v1/evaluations/{evaluation}/predictions?wrong=true": lambda client, ids: tuple(
        client.evaluations.predictions(ids.evaluation, wrong=True)
    ),
    "/v1/datasets/{dataset}/samples": lambda client, ids: client.datasets.sample_pictures(ids.dataset),
    "/v1/datasets/{dataset}/statistics": lambda client, ids: client.datasets.statistics(ids.dataset),
    "/v1/training-jobs/job_example": lambda client, ids: client.training_jobs.get("job_example"),
    "/v1/training-jobs/job_example/metrics": lambda client, ids: client.training_jobs.metrics("job_example"),
    "/v1/training-jobs/job_example/norms": lambda client, ids: client.training_jobs.norms("job_example"),
    "/v1/training-jobs/{job}/report": lambda client, ids: client.training_jobs.report(ids.job),
    "/v1/models/model_example/filters": lambda client, ids: client.models.filters("model_example"),
    "/v1/models/model_example/filters?node=conv2d_1": lambda client, ids: client.models.node_filters(
        "model_example", "conv2d_1"
    ),
    "/v1/models/model_example": lambda client, ids: client.models.get("model_example"),
    "/v1/models/lenet-5-digits/aliases": lambda client, ids: client.models.aliases("lenet-5-digits"),
    "/v1/models/lenet-5-digits/aliases/example": lambda client, ids: client.models.alias(
        "lenet-5-digits", "example"
    ),
    "/v1/batch-predictions/{batch}": lambda client, ids: client.batch_predictions.get(ids.batch),
    "/v1/evaluations/{evaluation}/confusion-matrix": lambda client, ids: client.evaluations.confusion_counts(
        ids.evaluation
    ),
    "/v1/evaluations/{evaluation}": lambda client, ids: client.evaluations.get(ids.evaluation),
}

# Of the lists that others add to meanwhile, the entry that is looked at.
LISTS: dict[str, Callable[[Client, Ids], Any]] = {
    "/v1/architectures": lambda client, ids: entry(client.architectures.list(), "arch_example"),
    "/v1/datasets": lambda client, ids: entry(client.datasets.list(), ids.dataset),
    "/v1/datasets/{dataset}/additions": lambda client, ids: entry(
        client.datasets.additions(ids.dataset), ids.addition
    ),
    "/v1/training-jobs": lambda client, ids: entry(client.training_jobs.list(), "job_example"),
    "/v1/models": lambda client, ids: entry(client.models.list(), "model_example"),
    "/v1/batch-predictions": lambda client, ids: entry(client.batch_predictions.list(), ids.batch),
    "/v1/evaluations": lambda client, ids: entry(client.evaluations.list(), ids.evaluation),
}


def archive(folder: Path) -> Path:
    path = folder / "shades.zip"
    with zipfile.ZipFile(path, "w") as packed:
        for name, shade in (("dark", 10), ("light", 240)):
            for number in range(3):
                picture = io.BytesIO()
                Image.new("L", (4, 4), shade + number).save(picture, "PNG")
                packed.writestr(f"{name}/{number}.png", picture.getvalue())
        packed.writestr("dark/notes.txt", "no picture")
    return path


@pytest.fixture(scope="module")
def ids(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ids]:
    folder = tmp_path_factory.mktemp("contract")
    with Client(server) as client:
        dataset = client.datasets.wait(client.datasets.upload(archive(folder), image_size=4).id)
        Image.new("L", (4, 4), 99).save(folder / "more.png")
        addition = client.datasets.append(dataset.id, [folder / "more.png"], label="dark")
        client.datasets.wait_addition(addition, interval=0.05)
        client.datasets.correct(dataset.id, [{"number": 0, "excluded": True}])
        evaluation = client.evaluations.create("model_example", "digits")
        batch = client.batch_predictions.create("model_example", archive(folder))
        assert client.evaluations.wait(evaluation.id, interval=0.05).report is not None
        assert client.batch_predictions.wait(batch.id, interval=0.05).status == "succeeded"
        layers = [{"type": "flatten"}, {"type": "dense", "units": 2}]
        network = {"input_shape": [4, 4, 3], "layers": layers}
        job = client.training_jobs.create(network, dataset.id, epochs=1)
        *_, trained = client.training_jobs.watch(job.id, interval=0.05)
        assert trained.model_id is not None
        yield Ids(dataset.id, addition.id, evaluation.id, batch.id, job.id)
        client.training_jobs.delete(job.id)
        client.models.delete(trained.model_id)
        client.evaluations.delete(evaluation.id)
        client.batch_predictions.delete(batch.id)
        client.datasets.delete(dataset.id)


def plain(value: Any) -> Any:
    """Return what an answer of the client would be in JSON."""
    return (
        [plain(entry) for entry in value] if isinstance(value, tuple) else json.loads(value.model_dump_json())
    )


NONE: dict[str, Any] = {"responses": {}}


def test_every_get_has_its_call() -> None:
    paths = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))["paths"]
    answered = {
        path
        for path, operations in paths.items()
        if "application/json" in operations.get("get", NONE)["responses"].get("200", {}).get("content", ())
    }
    names = {
        "{dataset}": "{dataset_id}",
        "{addition}": "{addition_id}",
        "images/0": "images/{number}",
        "{batch}": "{batch_id}",
        "{evaluation}": "{evaluation_id}",
        "{job}": "{job_id}",
        "arch_example": "{architecture_id}",
        "job_example": "{job_id}",
        "model_example": "{model_id}",
        "lenet-5-digits": "{model_name}",
        "aliases/example": "aliases/{alias}",
    }
    covered = set()
    for call in (*CALLS, *LISTS):
        path = call.split("?")[0]
        for given, written in names.items():
            path = path.replace(given, written)
        covered.add(path)
    # what the system is doing differs from call to call: tests/http/test_system.py has it; this server has no keys, and
    # tests/http/test_keys.py has those of one that does
    assert covered == answered - {
        "/livez",
        "/readyz",
        "/v1/system",
        "/v1/version",
        "/v1/keys",
        "/v1/keys/{key}",
    }


@pytest.mark.parametrize("path", [*CALLS, *LISTS])
def test_every_field_is_on_the_client_s_object(path: str, server: str, http: httpx.Client, ids: Ids) -> None:
    where = path.format_map(vars(ids))
    with Client(server) as client:
        given = plain((CALLS | LISTS)[path](client, ids))
    limit = {"limit": 200} if path in LISTS else None
    # What would be drawn by default is compared in numbers.
    answer = http.get(where, params=limit, headers={"Accept": "application/json"}).json()
    if path in LISTS:
        (answer,) = [entry for entry in answer["data"] if entry["id"] == given["id"]]
    assert given == (answer["data"] if isinstance(given, list) else answer)


def grown(value: Any) -> Any:
    """Return an answer in JSON as a later version would give it: each of its objects has a field more."""
    if isinstance(value, BaseModel):
        return {name: grown(member) for name, member in value} | {"of_a_later_version": {"a": [1]}}
    if isinstance(value, dict):
        return {name: grown(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [grown(member) for member in value]
    return value if isinstance(value, str | int | float | None) else str(value)


class _LaterVersion(BaseHTTPRequestHandler):
    body: bytes

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def later() -> Iterator[str]:
    """The address of a server whose answers have fields that this version does not have."""
    with HTTPServer(("127.0.0.1", 0), _LaterVersion) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("path", [*CALLS, *LISTS])
def test_fields_of_a_later_version_are_ignored(path: str, server: str, later: str, ids: Ids) -> None:
    call = (CALLS | LISTS)[path]
    with Client(server) as client:
        given = call(client, ids)
    body = (
        {"data": grown(given), "next": None}
        if isinstance(given, tuple)
        else {"data": [grown(given)], "next": None}
        if path in LISTS
        else grown(given)
    )
    _LaterVersion.body = json.dumps(body).encode()
    with Client(later) as client:
        assert call(client, ids) == given


def test_the_client_needs_nothing_of_the_server() -> None:
    program = """
import sys
import app.client
heavy = {"numpy", "fastapi", "starlette", "sqlalchemy", "PIL", "safetensors", "typer"}
ours = {"app.store", "app.web", "app.jobs", "app.datasets", "app.models", "app.settings", "engine.layers", "engine.ops"}
print(sorted((heavy | ours) & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
