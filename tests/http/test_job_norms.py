"""The norms of a training job: numbers and pictures, of a job that ran here, and what they name."""

import io
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest
from PIL import Image

from app.pictures import norms

SVG = "{http://www.w3.org/2000/svg}"
HIDDEN = [{"type": "dense", "units": 8, "activation": "sigmoid"}] * 10
JOB = {
    "architecture": {
        "input_shape": [28, 28, 1],
        "layers": [{"type": "flatten"}, *HIDDEN, {"type": "dense", "units": 10}],
    },
    "dataset": "digits",
    "epochs": 2,
    "batch_size": 256,
}


@pytest.fixture(scope="module")
def job(http: httpx.Client, finished: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    started = http.post("/v1/training-jobs", json=JOB).json()
    return finished(http, started["id"])


def test_the_numbers_of_a_job_whose_gradients_vanish(http: httpx.Client, job: dict[str, Any]) -> None:
    found = http.get(f"/v1/training-jobs/{job['id']}/norms").json()
    assert found["epochs"] == [1, 2]
    nodes = {node["name"]: node for node in found["nodes"]}
    assert list(nodes) == [f"dense_{number}" for number in range(1, 12)]
    for node in nodes.values():
        assert [len(node[name]) for name in ("gradient", "largest_gradient", "weight")] == [2, 2, 2]
        assert all(
            0 < mean <= most for mean, most in zip(node["gradient"], node["largest_gradient"], strict=True)
        )
    assert "dense_2" in found["vanishing"]
    assert "dense_11" not in found["vanishing"]
    assert found["exploding"] == []
    # what is said of an epoch elsewhere has no entry for each node
    assert "norms" not in http.get(f"/v1/training-jobs/{job['id']}/events").text
    assert "norms" not in http.get(f"/v1/training-jobs/{job['id']}").json()["metrics"]


def test_the_picture_names_what_vanishes(http: httpx.Client, job: dict[str, Any]) -> None:
    address = f"/v1/training-jobs/{job['id']}/norms"
    answer = http.get(address, headers={"Accept": "image/svg+xml"})
    assert answer.headers["content-type"].startswith("image/svg+xml")
    root = ET.fromstring(answer.text)  # noqa: S314 - our own
    words = {text.text for text in root.iter(f"{SVG}text")}
    assert {"dense_2 vanishes", "dense_11", "epoch", "1", "2"} <= words
    thick = [line for line in root.iter(f"{SVG}polyline") if line.attrib["stroke-width"] == "3"]
    assert len(thick) == 2 * len(http.get(address).json()["vanishing"])
    png = http.get(address, headers={"Accept": "image/png"})
    with Image.open(io.BytesIO(png.content)) as image:
        assert image.width == norms.WIDTH


def test_the_built_in_job_has_them(http: httpx.Client) -> None:
    found = http.get("/v1/training-jobs/job_example/norms").json()
    assert found["epochs"] == list(range(1, 9))
    assert (found["vanishing"], found["exploding"]) == ([], [])


@pytest.mark.parametrize("nodes", [0, 1, 43, 400])
@pytest.mark.parametrize("epochs", [1, 30])
def test_any_number_of_nodes_and_odd_lengths_can_be_drawn(nodes: int, epochs: int) -> None:
    gradients = {
        f"residual_{node}/body/conv2d_1": [None, 0.0, 1e-30, 5.0][: epochs or 1] for node in range(nodes)
    }
    gradients = {name: (values * epochs)[:epochs] for name, values in gradients.items()}
    names = list(gradients)
    drawing = norms.chart(
        list(range(1, epochs + 1)) if nodes else [], gradients, gradients, names[:2], names[-1:]
    )
    root = ET.fromstring(drawing.svg())  # noqa: S314 - our own
    ticks = [text for text in root.iter(f"{SVG}text") if (text.text or "").startswith("1e")]
    assert 4 <= len(ticks) <= 20
    for text in root.iter(f"{SVG}text"):
        assert 0 < float(text.attrib["y"]) <= drawing.height
    shown = [text.text for text in root.iter(f"{SVG}text") if (text.text or "").startswith("residual")]
    assert len(shown) == min(nodes, norms.MOST_NODES)
    assert "nan" not in drawing.svg()
    assert drawing.png().startswith(b"\x89PNG")


def test_a_job_that_is_not_there(http: httpx.Client) -> None:
    assert http.get("/v1/training-jobs/job_gone/norms").status_code == 404
