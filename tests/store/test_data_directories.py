"""A data directory that an earlier version wrote opens, shows what it held, and goes on with its work."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from app.cli.launch import ServerProcess

FIXTURES = Path(__file__).parents[1] / "fixtures"
PACKED = sorted(FIXTURES.glob("data-directory-*.tar.xz"))


def agrees(now: Any, then: Any) -> bool:
    """Tell whether all that was said then is still said; there may be more now."""
    if isinstance(then, dict):
        return isinstance(now, dict) and all(name in now and agrees(now[name], then[name]) for name in then)
    if isinstance(then, list):
        return len(now) == len(then) and all(map(agrees, now, then))
    return bool(now == then)


def shade(level: int, seed: int) -> bytes:
    noise = np.random.default_rng(seed).integers(level, level + 40, (12, 12, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    return buffer.getvalue()


def test_there_is_one_for_each_version() -> None:
    assert [path.name for path in PACKED] == [
        f"data-directory-{number}.tar.xz" for number in range(1, len(PACKED) + 1)
    ]
    assert PACKED


@pytest.mark.parametrize("packed", PACKED, ids=lambda path: path.name)
def test_an_earlier_data_directory_opens_and_goes_on(
    packed: Path,
    tmp_path: Path,
    start: Callable[..., ServerProcess],
    connect: Callable[..., httpx.Client],
    finished: Callable[..., dict[str, Any]],
) -> None:
    with tarfile.open(packed) as archive:
        archive.extractall(tmp_path, filter="data")
    facts = json.loads((tmp_path / "data" / "facts.json").read_text(encoding="utf-8"))
    with connect(start("data").start()) as http:
        listed = {entry["id"]: entry for entry in http.get("/v1/datasets").json()["data"]}
        assert set(listed) == {"digits", *(entry["id"] for entry in facts["datasets"])}
        for dataset in facts["datasets"]:
            assert agrees(http.get(f"/v1/datasets/{dataset['id']}").json(), dataset)
            picture = http.get(f"/v1/datasets/{dataset['id']}/images/0", params={"split": "test"})
            assert picture.status_code == 200
        assert http.get("/v1/datasets/digits/images/0").status_code == 200

        jobs = {entry["id"]: entry for entry in http.get("/v1/training-jobs").json()["data"]}
        assert set(jobs) == {"job_example", facts["job"]["id"], facts["under_way"], facts["waiting"]}
        assert agrees(jobs[facts["job"]["id"]]["metrics"], facts["job"]["metrics"])
        metrics = http.get(f"/v1/training-jobs/{facts['job']['id']}/metrics").json()["data"]
        assert len(metrics) == facts["job"]["epochs"]
        told = http.get(f"/v1/training-jobs/{facts['job']['id']}/events").text
        assert told.count("event: epoch\n") == facts["job"]["epochs"]
        assert told.count("event: end\n") == 1

        model = http.get(f"/v1/models/{facts['model']['id']}").json()
        assert agrees(
            {name: model[name] for name in ("classes", "input_shape", "metrics")},
            {name: facts["model"][name] for name in ("classes", "input_shape", "metrics")},
        )
        answer = http.post(
            f"/v1/models/{model['id']}/predict",
            files={"files": ("light.png", shade(210, facts["picture_seed"]))},
        )
        assert answer.status_code == 200, answer.text
        (prediction,) = answer.json()["data"]
        assert prediction["label"] == facts["prediction"]["label"]
        assert prediction["probability"] == pytest.approx(facts["prediction"]["probability"], abs=1e-5)
        for identifier in ("model_example", "job_example"):
            kind = "models" if identifier.startswith("model") else "training-jobs"
            assert http.get(f"/v1/{kind}/{identifier}").status_code == 200

        for name in ("under_way", "waiting"):
            job = finished(http, facts[name])
            assert job["status"] == "succeeded", job
            assert len(http.get(f"/v1/training-jobs/{job['id']}/metrics").json()["data"]) == job["epochs"]
