"""Who may call: the key, and pages of other sites."""

import base64
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

KEY = "a-long-random-key"
PATHS = ("/docs", "/docs/assets/swagger-ui.css", "/openapi.json", "/v1/models", "/v1/nowhere")


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"anybody:{password}".encode()).decode()


@pytest.fixture(scope="module")
def guarded(guarded_server: Any, connect: Callable[..., httpx.Client]) -> Iterator[tuple[httpx.Client, Path]]:
    """A client without a key of a server with one, and the server's log."""
    assert guarded_server.key == KEY
    with connect(guarded_server.url) as client:
        yield client, guarded_server.log


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer wrong",
        f"Bearer {KEY}x",
        f"Bearer {KEY[:-1]}",
        KEY,
        f"Token {KEY}",
        basic("wrong"),
        basic(""),
        "Basic ###",
        "Basic " + base64.b64encode(KEY.encode()).decode(),
        "Bearer \xe9",
    ],
)
def test_without_the_key_nothing_answers(
    guarded: tuple[httpx.Client, Path], authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization.encode("latin-1")}
    for path in PATHS:
        answer = guarded[0].get(path, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        # a line each: browsers that do not know the second scheme take it for a part of the first
        assert answer.headers.get_list("www-authenticate") == [
            'Basic realm="convserve", charset="UTF-8"',
            "Bearer",
        ]
        assert answer.json()["errors"][0]["parameter"] == "Authorization"
        assert KEY not in answer.text


@pytest.mark.parametrize(
    "authorization", [f"Bearer {KEY}", f"bearer {KEY}", basic(KEY), basic(KEY).replace("Basic", "basic")]
)
def test_with_the_key_everything_answers(guarded: tuple[httpx.Client, Path], authorization: str) -> None:
    for path in PATHS[:-1]:
        assert guarded[0].get(path, headers={"Authorization": authorization}).status_code == 200


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/", "/page/index.html"])
def test_health_and_the_page_need_no_key(guarded: tuple[httpx.Client, Path], path: str) -> None:
    assert guarded[0].get(path).status_code == 200
    assert guarded[0].head(path).status_code == 200
    assert guarded[0].post(path).status_code == 401


@pytest.mark.parametrize(
    "path", ["//", "/page", "/pages", "/page/../docs", "/page/%2e%2e/docs", "/%70age/../docs"]
)
def test_nothing_else_is_taken_for_the_page(guarded: tuple[httpx.Client, Path], path: str) -> None:
    # the client itself would resolve dots
    request = guarded[0].build_request("GET", "/", extensions={"target": path.encode()})
    assert guarded[0].send(request).status_code in (401, 404)


def test_a_name_of_the_server_needs_to_be_local_only_without_a_key(
    guarded: tuple[httpx.Client, Path], http: httpx.Client
) -> None:
    headers = {"Host": "convserve.example"}
    assert (
        guarded[0].get("/v1/models", headers=headers | {"Authorization": f"Bearer {KEY}"}).status_code == 200
    )
    # Without a key, whoever makes a name point to this machine could read it from a page of that name.
    answer = http.get("/v1/models", headers=headers)
    assert answer.status_code == 403
    assert answer.json()["type"] == "/problems/foreign-host"
    assert http.get("/", headers=headers).status_code == 403
    for name in ("localhost", "127.0.0.1:80", "[::1]:8000", "here.localhost"):
        assert http.get("/v1/models", headers={"Host": name}).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://[::1"}, 403),
        ({"Origin": "http://localhost:1", "Sec-Fetch-Site": "same-origin"}, 200),
    ],
)
def test_pages_of_other_sites_change_nothing(
    guarded: tuple[httpx.Client, Path], http: httpx.Client, headers: dict[str, str], status: int
) -> None:
    body = {"input_shape": [4, 4, 1], "layers": [{"type": "flatten"}]}
    for client, key in ((http, {}), (guarded[0], {"Authorization": basic(KEY)})):
        answer = client.post("/v1/architectures/summary", json=body, headers=headers | key)
        assert answer.status_code == status, answer.text
        # Reading does no harm: the browser keeps the answer from the page.
        assert client.get("/v1/models", headers=headers | key).status_code == 200


def test_our_own_page_may_post(http: httpx.Client) -> None:
    body = {"input_shape": [4, 4, 1], "layers": [{"type": "flatten"}]}
    origin = {"Origin": str(http.base_url).rstrip("/")}
    assert http.post("/v1/architectures/summary", json=body, headers=origin).status_code == 200


def test_answers_are_not_to_be_framed_or_guessed_at(http: httpx.Client) -> None:
    for path in ("/", "/docs", "/v1/models", "/v1/nowhere"):
        headers = http.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_secrets_are_not_logged(guarded: tuple[httpx.Client, Path], wait_for: Callable[..., Any]) -> None:
    client, log = guarded
    client.get(
        f"/v1/models?after={KEY}", headers={"Authorization": f"Bearer {KEY}", "X-Request-Id": "last-one"}
    )
    wait_for(lambda: "last-one" in log.read_text(), "the line of the request")
    assert KEY not in log.read_text()
    assert basic(KEY).removeprefix("Basic ") not in log.read_text()


@pytest.mark.parametrize("host", ["0.0.0.0", "convserve.example"])  # noqa: S104
def test_without_a_key_only_loopback_is_served(tmp_path: Path, host: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CONVSERVE_")}
    command = [sys.executable, "-P", "-m", "app.cli", "serve", "--host", host, "--port", "0"]
    ended = subprocess.run(
        [*command, "--data-dir", str(tmp_path / "data")],
        env=environment | {"CONVSERVE_API_KEY": ""},
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode != 0
    assert "CONVSERVE_API_KEY" in ended.stderr
    assert "127.0.0.1" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "data").exists()
