"""What a server writes into its log, what it says of bad options, and under which names its pictures are saved."""

import os
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.cli.launch import SERVE

NETWORK: dict[str, Any] = {
    "input_shape": [28, 28, 1],
    "layers": [{"type": "flatten"}, {"type": "dense", "units": 10}],
}
DEEP = NETWORK | {"layers": [*NETWORK["layers"], {"type": "dense", "units": 10}]}
TRAINING = {"architecture": NETWORK, "dataset": "digits", "epochs": 1}


@pytest.mark.parametrize(
    ("options", "variables", "name", "other"),
    [
        (["--port", "70000"], {}, "--port: ", "CONVSERVE_PORT"),
        (["--port", "http"], {"PORT": "1"}, "--port: ", "CONVSERVE_PORT"),
        ([], {"PORT": "70000"}, "CONVSERVE_PORT: ", "--port"),
        (["--port", "70000"], {"MAX_JOBS": "0"}, "CONVSERVE_MAX_JOBS: ", "--max-jobs"),
    ],
)
def test_a_bad_option_is_named_as_it_was_given(
    tmp_path: Path, options: list[str], variables: dict[str, str], name: str, other: str
) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("CONVSERVE_")}
    environment |= {f"CONVSERVE_{key}": value for key, value in variables.items()}
    done = subprocess.run(
        [*SERVE, *options, "--data-dir", str(tmp_path / "data")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert name in done.stderr
    assert other not in done.stderr
    assert "Traceback" not in done.stderr


PICTURES = {
    "/v1/training-jobs/job_example/curves": "job_example-curves.svg",
    "/v1/datasets/digits/samples": "digits-samples.png",
    "/v1/datasets/digits/images/0": "digits-images-0.png",
}


@pytest.mark.parametrize("path", PICTURES)
def test_pictures_have_names(http: httpx.Client, path: str) -> None:
    answer = http.get(path)
    assert answer.status_code == 200
    name = PICTURES[path]
    assert answer.headers["Content-Disposition"] == f"inline; filename=\"{name}\"; filename*=UTF-8''{name}"
    assert http.head(path).headers["Content-Disposition"] == answer.headers["Content-Disposition"]


def test_a_picture_that_is_asked_for_in_another_form_has_its_end(http: httpx.Client) -> None:
    answer = http.get("/v1/training-jobs/job_example/curves", headers={"Accept": "image/png"})
    assert 'filename="job_example-curves.png"' in answer.headers["Content-Disposition"]


def test_curl_saves_pictures_under_their_names(http: httpx.Client, server: str, tmp_path: Path) -> None:
    for path, name in PICTURES.items():
        try:
            subprocess.run(["curl", "-sOJ", server + path], cwd=tmp_path, check=True, timeout=60)
        except FileNotFoundError:
            pytest.skip("there is no curl")
        assert (tmp_path / name).stat().st_size > 100


def test_what_is_no_picture_has_no_name(http: httpx.Client) -> None:
    assert "Content-Disposition" not in http.get("/v1/models").headers
    assert "Content-Disposition" not in http.get("/v1/datasets/digits/images/100000000").headers
    assert (
        http.get("/v1/models/model_example/weights").headers["Content-Disposition"].startswith("attachment")
    )
