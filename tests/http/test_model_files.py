"""Models as files over HTTP: what goes out comes back, and what is no model stays out."""

import base64
import hashlib
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.api.pictures import PictureSpec
from app.cli.launch import ServerProcess
from engine.graph.architecture import Architecture
from engine.model.model_file import read_model

WEIGHTS = "/v1/models/model_example/weights"
IMPORT = "/v1/models/import"
RAW = {"Content-Type": "application/octet-stream"}


@pytest.fixture(scope="module")
def file(http: httpx.Client) -> bytes:
    return http.get(WEIGHTS).content


def parts(file: bytes) -> tuple[dict[str, Any], bytes]:
    """Take a safetensors file apart: its header, and its arrays."""
    (length,) = struct.unpack("<Q", file[:8])
    return json.loads(file[8 : 8 + length]), file[8 + length :]


def joined(header: dict[str, Any], arrays: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + arrays


def with_description(file: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    header, arrays = parts(file)
    description = json.loads(header["__metadata__"]["convserve"])
    change(description)
    header["__metadata__"]["convserve"] = json.dumps(description)
    return joined(header, arrays)


def test_the_file_is_the_one_whose_checksum_the_model_shows(http: httpx.Client, tmp_path: Path) -> None:
    model = http.get("/v1/models/model_example").json()
    answer = http.get(WEIGHTS)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert hashlib.sha256(answer.content).hexdigest() == model["sha256"]
    assert answer.headers["etag"] == f'"{model["sha256"]}"'
    assert len(answer.content) == model["bytes"] == int(answer.headers["content-length"])
    path = tmp_path / "model.safetensors"
    path.write_bytes(answer.content)
    read = read_model(path)
    assert read.architecture == Architecture.model_validate(model["architecture"])
    assert list(read.classes) == model["classes"]
    picture = PictureSpec.model_validate(read.metadata["picture"])  # written before there was `invert`
    assert picture.model_dump(mode="json") == model["preprocessing"]["picture"]


def test_a_file_that_is_there_already_is_not_sent_again(http: httpx.Client, file: bytes) -> None:
    tag = http.get(WEIGHTS).headers["etag"]
    same = http.get(WEIGHTS, headers={"If-None-Match": f'"other", {tag}'})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    assert http.get(WEIGHTS, headers={"If-None-Match": '"other"'}).content == file
    piece = http.get(WEIGHTS, headers={"Range": "bytes=8-15"})
    assert (piece.status_code, piece.content) == (206, file[8:16])


@pytest.mark.parametrize("form", ["raw", "multipart"])
def test_an_imported_model_is_the_same_and_predicts_the_same(
    http: httpx.Client, file: bytes, form: str
) -> None:
    if form == "raw":
        answer = http.post(IMPORT, content=file, headers=RAW, params={"name": f"from {form}"})
    else:
        answer = http.post(IMPORT, files={"file": ("m.safetensors", file)}, data={"name": f"from {form}"})
    assert answer.status_code == 201, answer.text
    model = answer.json()
    assert model.pop("import") == {
        "format": "convserve",
        "mapped": 10,
        "folded": [],
        "assumed": [],
        "unused": [],
        "missing": [],
    }
    assert http.get(answer.headers["location"]).json() == model
    example = http.get("/v1/models/model_example").json()
    # An older record lacks the defaults of what layers have learned since.
    assert Architecture.model_validate(model["architecture"]) == Architecture.model_validate(
        example["architecture"]
    )
    own = (
        *("id", "name", "created_at", "builtin", "training_job_id", "version", "architecture"),
        "computed_by",  # only one of them is in memory
    )
    assert {key: model[key] for key in model if key not in own} == {
        key: example[key] for key in example if key not in own
    }
    assert (model["name"], model["version"], model["builtin"]) == (f"from {form}", 1, False)
    assert http.get(f"/v1/models/{model['id']}/weights").content == file
    assert http.post(IMPORT, content=file, headers=RAW, params={"name": model["name"]}).json()["version"] == 2
    found = http.get(f"/v1/models/{model['name']}@1").json()
    assert found == model
    picture = {"files": ("d.png", http.get("/v1/datasets/digits/images/0").content)}
    ours = http.post(f"/v1/models/{model['id']}/predict", files=picture).json()["data"]
    assert ours == http.post("/v1/models/model_example/predict", files=picture).json()["data"]


def test_the_name_in_the_file_is_the_default(http: httpx.Client, file: bytes) -> None:
    model = http.post(IMPORT, json={"file": base64.b64encode(file).decode()}).json()
    assert model["name"] == http.get("/v1/models/model_example").json()["name"]
    assert http.delete(f"/v1/models/{model['id']}").status_code == 204


def _grow(description: dict[str, Any]) -> None:
    description["architecture"]["layers"][-1]["units"] = 11


def _explode(description: dict[str, Any]) -> None:
    description["architecture"]["layers"][-1]["units"] = 10_000_000


@pytest.mark.parametrize(
    ("what", "change", "said"),
    [
        ("cut short", lambda file: file[:-100], "safetensors"),
        ("empty", lambda file: b"", "cut short"),
        ("text", lambda file: b"what is this, if not a model file?", "cut short"),
        ("a promise of a long header", lambda file: struct.pack("<Q", 1 << 40) + file[8:], "cut short"),
        ("another number of classes", lambda file: with_description(file, _grow), "contradicts"),
        ("more parameters than allowed", lambda file: with_description(file, _explode), "parameters"),
        (
            "of a later version",
            lambda file: with_description(file, lambda d: d.update(format_version=99)),
            "99",
        ),
        ("a checkpoint", lambda file: with_description(file, lambda d: d.update(kind="checkpoint")), "not a"),
        (
            "without pictures",
            lambda file: with_description(file, lambda d: d["metadata"].pop("picture")),
            "picture",
        ),
        (
            "metadata of a strange kind",
            lambda file: with_description(file, lambda d: d.update(metadata=[1])),
            "",
        ),
        ("with NaN", lambda file: file[:-4] + struct.pack("<f", float("nan")), "not finite"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_what_is_no_model_stays_out(
    http: httpx.Client, file: bytes, what: str, change: Callable[[bytes], bytes], said: str
) -> None:
    before = http.get("/v1/models", params={"limit": 200}).json()
    answer = http.post(IMPORT, content=change(file), headers=RAW)
    assert answer.status_code == 422, f"{what}: {answer.text}"
    assert answer.json()["type"] == "/problems/unusable-model-file"
    assert said in answer.json()["detail"]
    assert http.get("/v1/models", params={"limit": 200}).json() == before


def test_shapes_are_checked_before_the_arrays(http: httpx.Client, file: bytes) -> None:
    header, arrays = parts(file)
    name = next(name for name in header if name.endswith("/bias"))
    header[name]["shape"] = [*header[name]["shape"], 1]
    answer = http.post(IMPORT, content=joined(header, arrays), headers=RAW)
    assert answer.status_code == 422
    assert repr(name) in answer.json()["detail"]


def test_other_bodies_are_refused(http: httpx.Client, file: bytes) -> None:
    assert http.post(IMPORT, content=file, headers={"Content-Type": "image/png"}).status_code == 415
    assert http.post(IMPORT, json={"file": "no base64!"}).json()["errors"][0]["pointer"] == "/file"
    fault = http.post(IMPORT, files={"file": ("m", file)}, data={"name": "x" * 101}).json()
    assert fault["errors"][0]["parameter"] == "name"


@pytest.mark.local
def test_nothing_is_left_of_uploads_and_the_limit_holds(
    start: Callable[..., ServerProcess], connect: Callable[..., httpx.Client]
) -> None:
    process = start(MAX_UPLOAD_BYTES="300000")
    with process as url, connect(url) as client:
        file = client.get(WEIGHTS).content
        assert client.post(IMPORT, content=file, headers=RAW).status_code == 201
        assert client.post(IMPORT, content=file[:-50], headers=RAW).status_code == 422
        assert client.post(IMPORT, content=bytes(300_001), headers=RAW).status_code == 413
        assert client.post(IMPORT, content=iter([bytes(200_000)] * 2), headers=RAW).status_code == 413
        assert not list((process.data_dir / "uploads").iterdir())
        built_in = {"model_example.safetensors", "mobilenet-v2-imagenet.safetensors"}
        assert len({path.name for path in (process.data_dir / "models").iterdir()} - built_in) == 1
