"""Whatever stands in the headers that say who calls, by which name and from where: it is no fault of the server."""

from __future__ import annotations

import http.client
import ipaddress
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.cli.launch import ServerProcess

HEADERS = (
    "Host",
    "Origin",
    "Sec-Fetch-Site",
    "Sec-Fetch-Mode",
    "Access-Control-Request-Method",
    "Access-Control-Request-Headers",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Forwarded-Prefix",
    "Forwarded",
    "X-Request-Id",
    "Referer",
    "Accept",
    "If-None-Match",
    "Last-Event-ID",
    "Content-Type",
    "Authorization",
    "Idempotency-Key",
)
PIECES = (
    *(
        "http://",
        "https://",
        "://",
        "//",
        "/",
        "[",
        "]",
        "[::1]",
        "::1",
        "%",
        "%00",
        "@",
        ":",
        ":80",
        ":99999",
        ",",
    ),
    *(
        "localhost",
        "127.0.0.1",
        "10.0.0.1",
        "evil.example",
        "app.example",
        "null",
        "/convserve",
        "/..",
        ";",
        "=",
        '"',
    ),
    *(
        "for=",
        "unknown",
        "\xff",
        "\x01",
        "\x1b[31m",
        "\x7f",
        "9" * 400,
        "a" * 300,
        "-",
        ".",
        "*",
        "same-origin",
        " ",
    ),
)
PATHS = ("/v1/models", "/convserve/v1/models", "/", "/convserve", "/v2/models/x/infer", "/docs/openapi.json")
VALUES = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=6).map("".join),
    st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=40),
)


class Server(NamedTuple):
    """A server that looks at all of these headers."""

    url: str
    log: Path


@pytest.fixture(scope="module")
def looking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("looking")
    chosen = {
        "ROOT_PATH": "/convserve",
        "TRUSTED_PROXIES": "127.0.0.1,10.0.0.0/8",
        "ALLOWED_HOSTS": "cnn.example",
        "ALLOWED_ORIGINS": "https://app.example",
    }
    with ServerProcess(folder / "data", folder / "log", chosen) as url:
        yield Server(url, folder / "log")


def ask(server: Server, method: str, path: str, headers: list[tuple[str, str]]) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=60)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value.encode("latin-1"))
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.mark.slow
@settings(max_examples=40)
@given(
    method=st.sampled_from(["GET", "HEAD", "OPTIONS", "POST", "DELETE"]),
    path=st.sampled_from(PATHS),
    headers=st.lists(st.tuples(st.sampled_from(HEADERS), VALUES), min_size=1, max_size=5),
)
@example("POST", "/v1/models", [("Origin", "http://[")])
@example("POST", "/v1/models", [("Origin", "http://[::1"), ("Host", "[")])
@example("GET", "/v1/models", [("X-Forwarded-Host", "http://[")])
@example("GET", "/v1/models", [("X-Forwarded-For", "::1%\x1b[31m")])
@example("OPTIONS", "/v1/models", [("Origin", ""), ("Access-Control-Request-Method", "")])
def test_it_is_answered(looking: Server, method: str, path: str, headers: list[tuple[str, str]]) -> None:
    status, body = ask(looking, method, path, headers)
    assert status < 500, body
    if status >= 400 and method != "HEAD" and body:
        assert isinstance(json.loads(body), dict)


def test_the_log_stays_readable(looking: Server, wait_for: Callable[..., Any]) -> None:
    # after whatever the other test has sent
    ask(
        looking,
        "GET",
        "/v1/models",
        [("X-Request-Id", "the-last"), ("X-Forwarded-For", "10.0.0.1, <>\xff")],
    )
    wait_for(lambda: "the-last" in looking.log.read_text())
    for text in looking.log.read_text().splitlines():
        line = json.loads(text)
        assert line["event"] != "unexpected_error"
        if line["event"] == "request":
            ipaddress.ip_address(line["client"])
            assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", line["request_id"])
