"""Models as ONNX files over HTTP: they give in ONNX Runtime what the service answers."""

import hashlib
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnxruntime
import pytest
from PIL import Image

from app.cli.launch import ServerProcess
from app.client import Client
from app.errors import NotInstalled
from app.models.onnx_files import onnx_file
from examples.from_pytorch import KEPT, go_through
from examples.onnx_runtime import PICTURES, compare

ONNX = "/v1/models/model_example/onnx"


def opened(content: bytes) -> tuple[onnxruntime.InferenceSession, dict[str, Any]]:
    """Open a file, and read its metadata."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    texts = session.get_modelmeta().custom_metadata_map
    return session, {name: json.loads(text) for name, text in texts.items()}


@pytest.mark.parametrize("preprocessing", ["outside", "inside"])
def test_the_file_gives_what_the_service_answers(http: httpx.Client, preprocessing: str) -> None:
    session, said = opened(http.get(ONNX, params={"preprocessing": preprocessing}).content)
    pictures = [http.get(f"/v1/datasets/digits/images/{number}").content for number in range(3)]
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(picture)).convert("L")) for picture in pictures])[
        ..., None
    ]
    if preprocessing == "inside":
        given = {"pixels": pixels}
    else:
        how = said["preprocessing"]
        numbers = (pixels / 255 - np.array(how["mean"])) / np.array(how["deviation"])
        given = {"input": np.moveaxis(numbers, -1, 1).astype(np.float32)}
    (found,) = session.run(["predictions"], given)
    answer = http.post(
        "/v1/models/model_example/predict",
        files=[("files", (f"{number}.png", picture)) for number, picture in enumerate(pictures)],
        params={"top_k": 10},
    ).json()
    for row, seen in zip(found, answer["data"], strict=True):
        wanted = {top["label"]: top["probability"] for top in seen["top"]}
        ours = dict(zip(said["classes"], row.tolist(), strict=True))
        assert ours == pytest.approx(wanted, abs=1e-4)
    model = http.get("/v1/models/model_example").json()
    assert (said["classes"], said["target"]) == (model["classes"], "class")
    assert (
        said["preprocessing"].items()
        >= {
            "inside": preprocessing == "inside",
            "mean": model["preprocessing"]["mean"],
            "deviation": model["preprocessing"]["deviation"],
        }.items()
    )


def test_the_file_has_a_name_and_a_tag(http: httpx.Client) -> None:
    outside, inside = (http.get(ONNX, params={"preprocessing": kind}) for kind in ("outside", "inside"))
    model = http.get("/v1/models/model_example").json()
    assert http.get(ONNX).content == outside.content != inside.content
    assert outside.headers["content-type"] == "application/octet-stream"
    assert outside.headers["content-length"] == str(len(outside.content))
    offered = f'attachment; filename="{model["name"]}-{model["version"]}.onnx"'
    assert outside.headers["content-disposition"].startswith(offered)
    # it says what was written, whichever version of the service wrote it
    for answer in (outside, inside):
        assert answer.headers["etag"] == f'"{hashlib.sha256(answer.content).hexdigest()}"'
    tag = outside.headers["etag"]
    same = http.get(ONNX, headers={"If-None-Match": tag})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    assert http.get(ONNX, headers={"If-None-Match": inside.headers["etag"]}).status_code == 200


def test_what_is_asked_for_wrongly_is_refused(http: httpx.Client) -> None:
    refused = http.get(ONNX, params={"preprocessing": "maybe"})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["parameter"] == "preprocessing"
    assert http.get("/v1/models/model_1/onnx").status_code == 404


def test_without_the_library_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "engine.model.onnx_format.write", raising=False)
    with pytest.raises(NotInstalled, match="pip install onnx"):
        onnx_file(None, None, preprocessing_inside=False)  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_network_trained_here_has_the_same_probabilities_in_onnx_runtime(
    server: str, tmp_path: Path
) -> None:
    with Client(server) as client:
        rows = compare(client, tmp_path, epochs=1)
    assert len(rows) == PICTURES
    for _, here, there in rows:
        assert there == pytest.approx(here, abs=1e-5)


@pytest.mark.slow
def test_a_network_of_pytorch_is_served_explained_and_fine_tuned(server: str, tmp_path: Path) -> None:
    with Client(server) as client:
        outcome = go_through(client, KEPT, tmp_path)
    assert outcome.difference < 1e-5
    assert all(0 <= place < 32 for place in outcome.looked_at)
    assert outcome.accuracy > 0.3, "it learned nothing of digits"


@pytest.mark.slow
def test_a_server_without_the_library_says_so(
    start: Callable[..., ServerProcess],
    connect: Callable[..., httpx.Client],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hidden = tmp_path / "hidden" / "onnx.py"
    hidden.parent.mkdir()
    hidden.write_text("raise ModuleNotFoundError(\"No module named 'onnx'\", name='onnx')\n")
    monkeypatch.setenv("PYTHONPATH", str(hidden.parent))
    with start() as url, connect(url) as client:
        answer = client.get(ONNX)
        assert answer.status_code == 501
        assert answer.headers["content-type"] == "application/problem+json"
        described = client.get("/openapi.json").json()["components"]["responses"]["NotInstalled"]
        assert answer.json() == described["content"]["application/problem+json"]["example"]
        taken = client.post("/v1/models/import", files={"file": ("m.onnx", KEPT.read_bytes())})
        assert (taken.status_code, taken.json()["type"]) == (501, answer.json()["type"])
        assert client.get("/v1/models/model_example").status_code == 200
