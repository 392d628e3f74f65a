"""Pages of other origins, as browsers ask for them; `tests/web/test_other_origins.py` has real ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from app.cli.launch import ServerProcess
from app.settings import SettingsError, load_settings

KEY = {"Authorization": "Bearer a-long-random-key"}
OURS, THEIRS = "https://app.example", "https://evil.example"
NETWORK = {"input_shape": [4, 4, 1], "layers": [{"type": "flatten"}]}


@pytest.fixture(scope="module")
def allowing(
    tmp_path_factory: pytest.TempPathFactory, connect: Callable[..., httpx.Client]
) -> Iterator[httpx.Client]:
    """A client of a server with a key that allows pages of two origins."""
    folder = tmp_path_factory.mktemp("allowing")
    settings = {"API_KEY": "a-long-random-key", "ALLOWED_ORIGINS": f"{OURS},http://localhost:3000"}
    with ServerProcess(folder / "data", folder / "log", settings) as url, connect(url) as client:
        yield client


def preflight(client: httpx.Client, origin: str, method: str = "POST", **headers: str) -> httpx.Response:
    asked = {"Origin": origin, "Access-Control-Request-Method": method, **headers}
    return client.options("/v1/models/model_example/predict", headers=asked)


def test_a_preflight_needs_no_key(allowing: httpx.Client) -> None:
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        names = "authorization,content-type,idempotency-key,last-event-id"
        answer = preflight(allowing, OURS, method, **{"Access-Control-Request-Headers": names})
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-origin"] == OURS
        assert method in answer.headers["access-control-allow-methods"]
        assert answer.headers["access-control-allow-headers"] == names
        assert "Origin" in answer.headers["vary"]
        assert int(answer.headers["access-control-max-age"]) > 60
        assert not answer.content


@pytest.mark.parametrize(
    "origin", [THEIRS, "null", "http://[", "https://app.example.evil.example", "http://app.example"]
)
def test_other_origins_are_told_nothing(allowing: httpx.Client, origin: str) -> None:
    refused = preflight(allowing, origin)
    assert refused.status_code == 403
    answer = allowing.get("/v1/models", headers={"Origin": origin, **KEY})
    assert answer.status_code == 200  # the browser keeps it from the page
    posted = allowing.post("/v1/architectures/summary", json=NETWORK, headers={"Origin": origin, **KEY})
    assert posted.status_code == 403
    for one in (refused, answer, posted):
        assert "access-control-allow-origin" not in one.headers
        assert "Origin" in one.headers["vary"]


def test_allowed_ones_call_as_we_do_and_read_every_header(allowing: httpx.Client) -> None:
    for origin in (OURS, "http://localhost:3000"):
        sent = {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
        calls = [
            allowing.post("/v1/architectures/summary", json=NETWORK, headers=sent | KEY),
            allowing.get("/v1/models/nothing", headers=sent | KEY),
            allowing.get("/v1/models", headers=sent),
            allowing.post("/v1/architectures/summary", content=b"{", headers=sent | KEY),
        ]
        assert [call.status_code for call in calls] == [200, 404, 401, 415]
        for call in calls:
            assert call.headers["access-control-allow-origin"] == origin
            assert call.headers["access-control-expose-headers"] == "*"
            assert "access-control-allow-credentials" not in call.headers
            assert "Origin" in call.headers["vary"]


def test_what_varied_before_still_does(allowing: httpx.Client) -> None:
    vary = allowing.get("/", headers={"Accept": "text/html"}).headers["vary"]
    # also without an origin: what an <img> loads must not be taken for what a page may read
    assert {part.strip() for part in vary.split(",")} == {"Accept", "Accept-Encoding", "Origin"}


def test_by_default_there_is_none_of_it(http: httpx.Client) -> None:
    assert preflight(http, OURS).status_code == 405
    assert "access-control-allow-origin" not in http.get("/v1/models", headers={"Origin": OURS}).headers


@pytest.mark.parametrize(
    "value", ["*", "null", "app.example", "https://app.example/", "https://app.example/x", "https://"]
)
def test_what_is_no_origin_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("CONVSERVE_ALLOWED_ORIGINS", value)
    with pytest.raises(SettingsError, match=r"CONVSERVE_ALLOWED_ORIGINS: .*as browsers send them"):
        load_settings()
