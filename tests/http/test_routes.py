"""Which call answers a path: one comparison finds it, whatever module it is in."""

import httpx
import pytest


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/models/model_example", "DELETE, GET, PATCH, HEAD"),
        ("DELETE", "/v1/models/model_example/predict", "POST"),
        ("PATCH", "/v1/datasets", "GET, POST, HEAD"),
        ("PATCH", "/v1/datasets/downloads", "DELETE, GET, POST, HEAD"),
        ("POST", "/v1/training-jobs/job_example", "DELETE, GET, HEAD"),
    ],
)
def test_all_methods_of_a_path_are_named(http: httpx.Client, method: str, path: str, allowed: str) -> None:
    answer = http.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/",
        "/v1/models/model_example/",
        "/v1/modelsx",
        "/v1/models//",
        "/v1/models/a%2Fb/c/d",
        "/v1/datasets/digits/nothing",
        "/v1/datasets/downloads/nothing/at/all",
        "/v1",
        "/v1/",
        "//v1/models",
    ],
)
def test_there_is_nothing_at_other_paths(http: httpx.Client, path: str) -> None:
    answer = http.get(path)
    assert answer.status_code == 404
    assert answer.json()["type"] == "/problems/not-found"


def test_what_has_a_name_of_its_own_comes_before_ids(http: httpx.Client) -> None:
    assert "data" in http.get("/v1/datasets/downloads").json()
    assert http.get("/v1/datasets/digits").json()["id"] == "digits"
