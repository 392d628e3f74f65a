"""What a request names by a reference: an id, a name (the newest), a version or an alias, wherever it is named."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.digits import load_digits
from tests.http.drawn_pictures import png

WaitFor = Callable[..., Any]
NETWORK: dict[str, Any] = {
    "input_shape": [28, 28, 1],
    "layers": [
        {"type": "max_pool2d", "pool_size": 4},
        {"type": "flatten"},
        {"type": "dense", "units": 8, "activation": "relu"},
        {"type": "dense", "units": 10},
    ],
}
TRAINING = {"architecture": NETWORK, "dataset": "digits", "epochs": 1, "batch_size": 500, "name": "another"}
JOBS = "/v1/training-jobs"


@pytest.fixture(scope="module")
def things(http: httpx.Client, finished: Callable[..., Any], wait_for: WaitFor) -> dict[str, Any]:
    """Two of each kind of thing, by one name: `referred`; the older model, and so its job, has the alias `best`."""
    found: dict[str, Any] = {"architecture": [], "dataset": [], "model": [], "job": []}
    for _ in range(2):
        stored = http.post("/v1/architectures", json=NETWORK | {"name": "referred"})
        found["architecture"].append(stored.json()["id"])
        job = http.post(JOBS, json=TRAINING | {"name": "referred"}).json()
        done = finished(http, job["id"])
        assert done["status"] == "succeeded", done["error"]
        found["job"].append(done["id"])
        found["model"].append(done["model_id"])
        files = {"file": ("digits.zip", digits())}
        fields = {"name": "referred", "image_size": "28", "channels": "1"}
        dataset = http.post("/v1/datasets", files=files, data=fields)
        location = dataset.headers["Location"]
        wait_for(lambda at=location: http.get(at).json()["status"] == "ready", "the data set")
        found["dataset"].append(dataset.json()["id"])
    best = http.put("/v1/models/referred/aliases/best", json={"model_id": found["model"][0]})
    assert best.status_code == 200, best.text
    return found


def digits() -> bytes:
    """Return an archive of some of the digits that are built in."""
    buffer = io.BytesIO()
    images, labels, _ = load_digits()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(200):
            archive.writestr(f"{labels[number]}/{number}.png", png(images[number, :, :, 0]))
    return buffer.getvalue()


def archive() -> bytes:
    picture, buffer = io.BytesIO(), io.BytesIO()
    Image.new("L", (28, 28), 200).save(picture, "PNG")
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("a.png", picture.getvalue())
    return buffer.getvalue()


Ask = Callable[[httpx.Client, str], httpx.Response]


def posted(path: str, key: str, body: dict[str, Any]) -> Ask:
    def ask(http: httpx.Client, reference: str) -> httpx.Response:
        value: Any = {"model": reference} if key == "weights" else reference
        return http.post(path, json=body | {key: value})

    return ask


def compared(http: httpx.Client, reference: str) -> httpx.Response:
    return http.post("/v1/architectures/compare", json={"architectures": [reference, NETWORK]})


def predicted_in_batch(http: httpx.Client, reference: str) -> httpx.Response:
    files = {"file": ("a.zip", archive())}
    return http.post("/v1/batch-predictions", files=files, data={"model": reference})


def aliased(http: httpx.Client, reference: str) -> httpx.Response:
    return http.put("/v1/models/referred/aliases/other", json={"model_id": reference})


def looked_at(http: httpx.Client, reference: str) -> httpx.Response:
    return http.get(f"/v1/models/{reference}")


STEP = {"indices": [0, 1], "dataset": "digits"}
MODELS: dict[str, tuple[Ask, str]] = {
    "initial_weights": (posted(JOBS, "initial_weights", TRAINING), "initial_weights"),
    "transfer": (posted(JOBS, "initial_weights", {"dataset": "digits"}), "initial_weights"),
    "evaluation": (posted("/v1/evaluations", "model", {"dataset": "digits"}), "model_id"),
    "batch prediction": (predicted_in_batch, "model_id"),
    "training step": (posted("/v1/training-steps", "weights", STEP), ""),
    "alias": (aliased, "model_id"),
    "path": (looked_at, "id"),
}
OTHERS: dict[str, tuple[str, Ask, str]] = {
    "data set of a job": ("dataset", posted(JOBS, "dataset", TRAINING), "dataset"),
    "data set of an evaluation": (
        "dataset",
        posted("/v1/evaluations", "dataset", {"model": "referred"}),
        "dataset",
    ),
    "data set of a step": (
        "dataset",
        posted("/v1/training-steps", "dataset", STEP | {"architecture": NETWORK}),
        "",
    ),
    "architecture of a job": ("architecture", posted(JOBS, "architecture", TRAINING), "architecture_source"),
    "architecture of a step": ("architecture", posted("/v1/training-steps", "architecture", STEP), ""),
    "architecture to compare": ("architecture", compared, ""),
    "continue_from": (
        "job",
        posted(JOBS, "continue_from", {"epochs": 1, "name": "another"}),
        "continue_from",
    ),
}


def named(http: httpx.Client, answer: httpx.Response, field: str) -> Any:
    """Return what an answer says was referred to, and let go of the job, if it is one."""
    assert answer.status_code in (200, 202), answer.text
    if "location" in answer.headers:
        http.post(f"{answer.headers['location']}/cancel")
    return answer.json()[field] if field else None


@pytest.mark.slow
@pytest.mark.parametrize(("ask", "field"), MODELS.values(), ids=list(MODELS))
def test_a_model_is_named_in_four_ways(
    http: httpx.Client, things: dict[str, Any], ask: Ask, field: str
) -> None:
    old, new = things["model"]
    for reference, meant in {"referred": new, old: old, "referred@1": old, "referred@2": new}.items():
        assert named(http, ask(http, reference), field) == (meant if field else None)
    assert named(http, ask(http, "referred@best"), field) == (old if field else None)
    for missing in ("referred@3", "referred@worst", "nobody"):
        assert ask(http, missing).status_code in (404, 422)


@pytest.mark.parametrize(("kind", "ask", "field"), OTHERS.values(), ids=list(OTHERS))
def test_others_are_named_by_id_or_name(
    http: httpx.Client, things: dict[str, Any], kind: str, ask: Ask, field: str
) -> None:
    old, new = things[kind]
    for reference, meant in {"referred": new, old: old, new: new}.items():
        found = named(http, ask(http, reference), field)
        assert found == ({"id": meant} if field == "architecture_source" else meant if field else None)
    refused = ask(http, "nobody")
    assert refused.status_code == 422, refused.text
    (error,) = refused.json()["errors"]
    assert "'nobody'" in error["detail"]
    assert error["hint"]


def test_a_job_is_named_by_the_model_that_it_has_made(http: httpx.Client, things: dict[str, Any]) -> None:
    ask = OTHERS["continue_from"][1]
    for reference, place in {"referred@1": 0, "referred@2": 1, "referred@best": 0}.items():
        assert named(http, ask(http, reference), "continue_from") == things["job"][place]
    file = http.get("/v1/models/referred@1/weights").content
    raw = {"Content-Type": "application/octet-stream"}
    http.post("/v1/models/import", content=file, headers=raw, params={"name": "brought"})
    for missing in ("referred@3", "brought@1"):
        refused = ask(http, missing)
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["pointer"] == "/continue_from"
