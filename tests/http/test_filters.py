"""Lists are narrowed by name, tag and status over HTTP."""

import base64
from typing import Any

import httpx
import pytest

from app.api.requests.datasets import EXAMPLE_ARCHIVE

RAW = {"Content-Type": "application/octet-stream"}


def found(http: httpx.Client, path: str, **query: Any) -> list[str]:
    answer = http.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return [entry["id"] for entry in answer.json()["data"]]


def test_models_are_found(http: httpx.Client) -> None:
    file = http.get("/v1/models/model_example/weights").content
    answer = http.post("/v1/models/import", content=file, headers=RAW, params={"name": "to be found"})
    identifier = answer.json()["id"]
    http.patch(f"/v1/models/{identifier}", json={"tags": ["rare", "other"]})
    assert found(http, "/v1/models", tag="rare") == [identifier]
    assert found(http, "/v1/models", name="to be found", tag="rare") == [identifier]
    assert found(http, "/v1/models", name="to be found", tag="common") == []
    assert found(http, "/v1/models", contains="Be Found") == [identifier]
    assert found(http, "/v1/models", name="be found") == []
    assert "model_example" in found(http, "/v1/models", name="lenet-5-digits")


def test_training_jobs_are_found(http: httpx.Client) -> None:
    body = {
        "architecture": "arch_example",
        "dataset": "digits",
        "epochs": 1,
        "name": "sought",
        "tags": ["t 1"],
    }
    identifier = http.post("/v1/training-jobs", json=body).json()["id"]
    http.post(f"/v1/training-jobs/{identifier}/cancel")
    assert found(http, "/v1/training-jobs", name="sought", tag="t 1") == [identifier]
    assert found(http, "/v1/training-jobs", name="sought", status="succeeded") == []
    assert found(http, "/v1/training-jobs", contains="ough", tag="t 1") == [identifier]
    assert found(http, "/v1/training-jobs", name="lenet-5-digits", status="succeeded") == ["job_example"]


@pytest.mark.parametrize("form", [True, False])
def test_data_sets_are_found(http: httpx.Client, form: bool) -> None:
    tags = [f"form {form}", "shades"]
    if form:
        answer = http.post(
            "/v1/datasets",
            files={"file": ("s.zip", base64.b64decode(EXAMPLE_ARCHIVE))},
            data={"tags": ", ".join(tags)},
        )
    else:
        answer = http.post("/v1/datasets", json={"file": EXAMPLE_ARCHIVE, "tags": tags, "name": "json"})
    assert answer.status_code == 202, answer.text
    assert answer.json()["tags"] == tags
    identifier = answer.json()["id"]
    assert found(http, "/v1/datasets", tag=tags[0]) == [identifier]
    assert identifier in found(http, "/v1/datasets", tag="shades", name="s" if form else "json")
    assert found(http, "/v1/datasets", tag=tags[0], name="other") == []
    assert identifier in found(http, "/v1/datasets", tag="shades", contains="s" if form else "JSO")
    assert "digits" in found(http, "/v1/datasets", status="ready")
    assert "digits" not in found(http, "/v1/datasets", status="failed")
    assert http.get("/v1/datasets", params={"status": "asleep"}).status_code == 422
