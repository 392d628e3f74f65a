"""What all kinds of jobs have over HTTP is the same for each of them."""

import httpx
import pytest

PLACES = {
    "/v1/training-jobs": ("training job", "job_example"),
    "/v1/evaluations": ("evaluation", None),
    "/v1/batch-predictions": ("batch prediction", None),
}
every_place = pytest.mark.parametrize("place", PLACES)


@every_place
def test_each_kind_has_the_same_calls(http: httpx.Client, place: str) -> None:
    paths = http.get("/openapi.json").json()["paths"]
    (one,) = [path for path in paths if path.startswith(f"{place}/{{") and path.endswith("}")]
    assert {"get", "post"} <= set(paths[place])
    assert {"get", "delete"} == set(paths[one])
    assert set(paths[f"{one}/log"]) == {"get"}
    assert set(paths[f"{one}/cancel"]) == {"post"}


@every_place
@pytest.mark.parametrize("call", ["GET ", "DELETE ", "POST /cancel", "GET /log"])
def test_a_job_of_another_kind_is_not_found(http: httpx.Client, place: str, call: str) -> None:
    method, _, rest = call.partition(" ")
    noun, own = PLACES[place]
    identifier = "job_nobody" if own else "job_example"
    answer = http.request(method, f"{place}/{identifier}{rest}")
    assert answer.status_code == 404, answer.text
    assert identifier in answer.json()["detail"]
    if not own:
        assert noun in answer.json()["detail"]


@every_place
def test_lists_can_be_narrowed_by_status(http: httpx.Client, place: str) -> None:
    answer = http.get(place, params={"status": "succeeded", "limit": 200})
    assert answer.status_code == 200, answer.text
    assert all(job["status"] == "succeeded" for job in answer.json()["data"])
    assert http.get(place, params={"status": "asleep"}).status_code == 422


def test_the_log_of_a_job_that_every_installation_has(http: httpx.Client) -> None:
    answer = http.get("/v1/training-jobs/job_example/log")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "epoch=1" in answer.text
