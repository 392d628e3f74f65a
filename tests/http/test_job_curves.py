"""The curves of a training job: clean SVG, or PNG for who asks for it."""

import io
from xml.etree import ElementTree as ET

import httpx
from PIL import Image

from app.pictures import curves

CURVES = "/v1/training-jobs/job_example/curves"
SVG = "{http://www.w3.org/2000/svg}"


def test_svg_by_default(http: httpx.Client) -> None:
    answer = http.get(CURVES, headers={"Accept": "*/*"})
    assert answer.headers["content-type"].startswith("image/svg+xml")
    root = ET.fromstring(answer.text)  # noqa: S314 - our own
    words = {text.text for text in root.iter(f"{SVG}text")}
    assert {"loss", "accuracy", "train", "dev", "epoch", "1"} <= words
    epochs = http.get("/v1/training-jobs/job_example/metrics").json()["data"]
    long = [line for line in root.iter(f"{SVG}polyline") if len(line.attrib["points"].split()) == len(epochs)]
    curves_drawn = [line for line in long if line.attrib["stroke-width"] == "2"]
    assert len(curves_drawn) == 4


def test_png_on_request(http: httpx.Client) -> None:
    answer = http.get(CURVES, headers={"Accept": "image/png"})
    assert answer.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(answer.content)) as image:
        assert image.size == (curves.WIDTH, curves.HEIGHT)
        assert len(image.getcolors(1 << 20) or ()) > 10


def test_nothing_one_and_what_is_not_finite_can_be_drawn() -> None:
    row = {
        "epoch": 1,
        "train_loss": 2.0,
        "train_accuracy": None,
        "dev_loss": float("nan"),
        "dev_accuracy": 1.0,
    }
    for epochs in ([], [row], [row, {**row, "epoch": 2, "train_loss": float("inf")}]):
        drawing = curves.chart(epochs)
        text = drawing.svg()
        ET.fromstring(text)  # noqa: S314 - our own
        assert "nan" not in text
        assert "inf" not in text
        assert drawing.png().startswith(b"\x89PNG")


def test_a_job_that_is_not_there(http: httpx.Client) -> None:
    assert http.get("/v1/training-jobs/job_gone/curves").status_code == 404
