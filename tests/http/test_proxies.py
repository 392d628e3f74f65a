"""Behind proxies: below a path, under another name, and who called."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urljoin

import httpx
import pytest

from app.cli.launch import ServerProcess
from tests.proxy import proxied

ROOT = "/convserve"
NAME = "cnn.example"
NETWORK = {"input_shape": [4, 4, 1], "layers": [{"type": "flatten"}]}
SNIPPETS = dict(
    re.findall(
        r"^```(nginx|caddy)\n(.*?)^```",
        (Path(__file__).parents[2] / "docs" / "proxies.md").read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
)

Connect = Callable[..., httpx.Client]


class Trusting(NamedTuple):
    """A server that trusts proxies of this machine, and its log."""

    url: str
    log: Path


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trusting]:
    """A server that believes proxies of this machine, of networks elsewhere, and is shown below a path."""
    folder = tmp_path_factory.mktemp("trusting")
    settings = {
        "ROOT_PATH": f"{ROOT}/",
        "TRUSTED_PROXIES": "127.0.0.1, 10.0.0.0/8,2001:db8::/32",
        "ALLOWED_HOSTS": NAME,
        "LOG_LEVEL": "debug",
    }
    with ServerProcess(folder / "data", folder / "log", settings) as url:
        yield Trusting(url, folder / "log")


@pytest.fixture
def lines(trusting: Trusting) -> Callable[[str], list[dict[str, Any]]]:
    """Return the log lines of a request by its id."""

    def find(request_id: str) -> list[dict[str, Any]]:
        every = map(json.loads, trusting.log.read_text().splitlines())
        return [line for line in every if line.get("request_id") == request_id]

    return find


@contextmanager
def program(
    executable: str, snippet: str, server: str, folder: Path, wait_for: Callable[..., Any]
) -> Iterator[str]:
    """Run a real proxy with a snippet of the documentation; yields its address of the service."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    inside = snippet.replace("127.0.0.1:8000", server.removeprefix("http://"))
    configuration = folder / "configuration"
    if executable.endswith("nginx"):
        configuration.write_text(
            f"daemon off; master_process off; pid {folder}/pid; error_log stderr;\n"
            f"events {{}}\nhttp {{ access_log off; client_body_temp_path {folder}; proxy_temp_path {folder};\n"
            f"fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};\n"
            f"server {{ listen 127.0.0.1:{port};\n{inside}\n}} }}\n"
        )
        command = [executable, "-e", "stderr", "-p", str(folder), "-c", str(configuration)]
    else:
        configuration.write_text(f"{{\nadmin off\n}}\nhttp://:{port} {{\n{inside}\n}}\n")
        command = [executable, "run", "--adapter", "caddyfile", "--config", str(configuration)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={"HOME": str(folder)})
    try:

        def listens() -> bool:
            assert process.poll() is None, (folder / "log").read_text()
            with socket.socket() as there:
                return there.connect_ex(("127.0.0.1", port)) == 0

        wait_for(listens, executable)
        yield f"http://127.0.0.1:{port}{ROOT}"
    finally:
        process.terminate()
        process.wait(30)


FORWARDED = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https", "X-Forwarded-Host": NAME}
PROXIES = {
    "path kept": {"strips": False, "headers": FORWARDED},
    "path stripped": {"strips": True, "headers": FORWARDED},
    "name rewritten": {"strips": True, "headers": FORWARDED | {"Host": "localhost:1"}},
    "prefix said": {"strips": True, "headers": FORWARDED | {"X-Forwarded-Prefix": ROOT}},
    "nginx": SNIPPETS["nginx"],
    "nginx, path stripped": SNIPPETS["nginx"]
    .replace(":8000;", ":8000/;")
    .replace('X-Forwarded-Prefix ""', f"X-Forwarded-Prefix {ROOT}"),
    "caddy": SNIPPETS["caddy"],
}
_QUICK = ("path kept", "prefix said")
"""The others take longer, or need a program that is not everywhere."""


@pytest.fixture(
    scope="module",
    params=[name if name in _QUICK else pytest.param(name, marks=pytest.mark.slow) for name in PROXIES],
)
def behind(
    request: pytest.FixtureRequest,
    trusting: Trusting,
    tmp_path_factory: pytest.TempPathFactory,
    wait_for: Callable[..., Any],
) -> Iterator[str]:
    """The address of that server by a proxy."""
    how, kind = PROXIES[request.param], request.param.partition(",")[0]
    with ExitStack() as opened:
        if isinstance(how, dict):
            yield opened.enter_context(proxied(trusting.url, ROOT, **how))
        else:
            executable = shutil.which(kind, path=f"{os.environ['PATH']}:/usr/sbin")
            if executable is None:
                pytest.skip(f"there is no {kind}: apt-get install {kind}")
            folder = tmp_path_factory.mktemp(kind)
            yield opened.enter_context(program(executable, str(how), trusting.url, folder, wait_for))


@pytest.fixture
def client(behind: str, connect: Connect) -> Iterator[httpx.Client]:
    with connect(behind, Host=NAME) as client:
        yield client


def test_what_is_made_is_found_by_its_location(client: httpx.Client) -> None:
    answer = client.post(
        "/v1/architectures", json={"name": "behind", **NETWORK}, headers={"Idempotency-Key": "1"}
    )
    assert answer.status_code in (200, 201), answer.text
    location = answer.headers["location"]
    assert location.startswith(f"{ROOT}/v1/architectures/")
    found = client.get(urljoin(str(answer.url), location))
    assert found.status_code == 200
    assert found.json()["id"] == location.rpartition("/")[2]


@pytest.mark.slow
def test_the_document_says_where_the_service_is(client: httpx.Client) -> None:
    for path in ("/openapi.json", "/docs/openapi.json"):
        assert client.get(path).json()["servers"] == [{"url": ROOT}]
    assert 'src="docs/assets/start.js"' in client.get("/docs").text
    assert client.get("/docs/assets/start.js").status_code == 200


def test_the_page_is_where_its_addresses_lead(client: httpx.Client) -> None:
    page = client.get("/", headers={"Accept": "text/html"})
    assert page.headers["content-type"].startswith("text/html")
    for address in re.findall(r'(?:src|href)="(page/[^"]+)"', page.text):
        assert client.get(f"/{address}").status_code == 200
    moved = client.get(str(client.base_url).rstrip("/"))
    if moved.is_redirect:
        assert urljoin(str(moved.url), moved.headers["location"]).endswith(f"{ROOT}/")


def test_the_inference_protocol_answers(client: httpx.Client) -> None:
    assert client.get("/v2/health/ready").status_code == 200
    assert set(client.get("/v2/models/nothing").json()) == {"error"}
    assert client.get("/v1/nothing").json()["detail"].startswith(f"there is nothing at {ROOT}/v1/nothing")


def test_a_picture_is_named_by_its_own_address(client: httpx.Client) -> None:
    answer = client.get("/v1/datasets/digits/images/17")
    assert answer.headers["content-disposition"].startswith('inline; filename="digits-images-17.png"')


def test_events_are_not_held_back(client: httpx.Client) -> None:
    with client.stream("GET", "/v1/events") as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        begun = b""
        # the stream has no end: what is here was not held back
        for piece in answer.iter_raw():
            begun += piece
            if b"id:" in begun:
                break


def test_a_page_of_the_proxy_may_post_and_one_elsewhere_may_not(behind: str, client: httpx.Client) -> None:
    port = behind.removeprefix("http://").partition("/")[0].partition(":")[2]
    own = [f"http://{NAME}", f"http://{NAME}:80"]
    for origin, status in [
        *((one, 200) for one in own),
        ("http://elsewhere.example", 403),
        (f"http://127.0.0.1:{port}", 403),
    ]:
        answer = client.post("/v1/architectures/summary", json=NETWORK, headers={"Origin": origin})
        assert answer.status_code == status, (origin, answer.text)


def test_other_names_are_refused_below_a_path_too(
    behind: str, connect: Connect, request: pytest.FixtureRequest
) -> None:
    # but for a proxy that says one name whatever it was called by
    vouches = request.node.callspec.params["behind"] == "name rewritten"
    with connect(behind) as client:
        answer = client.get("/v1/models", headers={"Host": "evil.example"})
    assert answer.status_code == (200 if vouches else 403)


SPOKEN = [
    # what a proxy of this machine says, and who called
    ({}, "127.0.0.1"),
    ({"X-Forwarded-For": "203.0.113.9"}, "203.0.113.9"),
    ({"X-Forwarded-For": "203.0.113.9:4711"}, "203.0.113.9"),
    ({"X-Forwarded-For": "[2001:db9::7]:80"}, "2001:db9::7"),
    ({"X-Forwarded-For": "::ffff:203.0.113.9"}, "203.0.113.9"),
    # from the right: what stands further left was written by who is the first that nobody vouches for
    ({"X-Forwarded-For": "8.8.8.8, 203.0.113.9"}, "203.0.113.9"),
    ({"X-Forwarded-For": "8.8.8.8, 203.0.113.9, 10.1.2.3"}, "203.0.113.9"),
    ({"X-Forwarded-For": "203.0.113.9, 2001:db8::1,10.1.2.3"}, "203.0.113.9"),
    ({"X-Forwarded-For": "10.1.2.3, 10.1.2.4"}, "10.1.2.3"),
    ({"X-Forwarded-For": "8.8.8.8, unknown, 10.1.2.3"}, "10.1.2.3"),
    ({"X-Forwarded-For": "unknown"}, "127.0.0.1"),
    ({"X-Forwarded-For": ""}, "127.0.0.1"),
    ({"X-Forwarded-For": "\xff'\"; drop"}, "127.0.0.1"),
    ({"Forwarded": "for=203.0.113.9"}, "127.0.0.1"),
]


@pytest.mark.parametrize(("headers", "client"), SPOKEN)
def test_the_log_has_who_called(
    trusting: Trusting,
    connect: Connect,
    lines: Callable[[str], list[dict[str, Any]]],
    wait_for: Callable[..., Any],
    headers: dict[str, str],
    client: str,
) -> None:
    number = f"spoken-{SPOKEN.index((headers, client))}"
    with connect(trusting.url) as http:
        raw = [(name, value.encode("latin-1")) for name, value in headers.items()]
        answer = http.get("/v1/nothing", headers=[*raw, ("X-Request-Id", number)])
    assert answer.status_code == 404
    (line,) = wait_for(lambda: lines(number), "the line of the request")
    assert line["client"] == client


@pytest.mark.parametrize("root", ["", ROOT, "/elsewhere"])
def test_paths_in_the_log_are_those_of_the_documentation(
    trusting: Trusting,
    connect: Connect,
    lines: Callable[[str], list[dict[str, Any]]],
    wait_for: Callable[..., Any],
    root: str,
) -> None:
    """However a proxy shows the service, and whether it strips the path or not."""
    number = f"path-{len(root)}"
    headers = {"X-Request-Id": number} | ({"X-Forwarded-Prefix": root} if root else {})
    with connect(trusting.url) as http:
        answer = http.delete(f"{root}/v1/models/model_nothing", headers=headers)
    assert answer.status_code == 404
    written = wait_for(lambda: (found := lines(number))[1:] and found, "both lines of the request")
    assert {line["event"]: line["path"] for line in written} == {
        "request": "/v1/models/model_nothing",
        "audit": "/v1/models/model_nothing",
    }


def test_several_lines_of_a_header_are_one(
    trusting: Trusting,
    connect: Connect,
    lines: Callable[[str], list[dict[str, Any]]],
    wait_for: Callable[..., Any],
) -> None:
    with connect(trusting.url) as http:
        headers = [
            ("X-Forwarded-For", "8.8.8.8"),
            ("X-Forwarded-For", "203.0.113.9"),
            ("X-Request-Id", "lines"),
        ]
        http.get("/v1/nothing", headers=headers)
    (line,) = wait_for(lambda: lines("lines"), "the line of the request")
    assert line["client"] == "203.0.113.9"


@pytest.mark.parametrize(
    ("prefix", "root"),
    [
        ("/here", "/here"),
        ("/here/", "/here"),
        ("/outer, /inner", "/inner"),  # there is one proxy
        ("//evil.example", ROOT),
        ("/../x", ROOT),
        ("/a b", ROOT),
        ("https://evil.example", ROOT),
        ("", ROOT),
    ],
)
def test_a_prefix_is_believed_if_it_is_a_path(
    trusting: Trusting, connect: Connect, prefix: str, root: str
) -> None:
    with connect(trusting.url) as http:
        moved = http.get(root, headers={"X-Forwarded-Prefix": prefix})
    assert (moved.status_code, moved.headers["location"]) == (308, f"{root}/")


def test_prefixes_of_several_proxies_stand_one_behind_the_other(trusting: Trusting, connect: Connect) -> None:
    with connect(trusting.url) as http:
        headers = {"X-Forwarded-Prefix": "/outer, /inner", "X-Forwarded-For": "203.0.113.9, 10.0.0.1"}
        assert http.get("/outer/inner", headers=headers).headers["location"] == "/outer/inner/"


def test_nobody_else_is_believed(
    http: httpx.Client, guarded_server: Any, connect: Connect, wait_for: Callable[..., Any]
) -> None:
    forged = FORWARDED | {"X-Forwarded-Prefix": "/evil", "X-Forwarded-Host": "127.0.0.1"}
    made = http.post("/v1/architectures", json={"name": "forged", **NETWORK}, headers=forged)
    assert made.headers["location"].startswith("/v1/architectures/")
    assert http.get("/evil", headers=forged).status_code == 404
    # neither does a name that is said to be ours let a page in
    assert http.get("/v1/models", headers=forged | {"Host": "evil.example"}).status_code == 403
    page = {"Origin": "http://127.0.0.1", "Host": "localhost:1"}
    assert http.post("/v1/architectures/summary", json=NETWORK, headers=forged | page).status_code == 403
    with connect(guarded_server.url) as client:
        client.get("/v1/models", headers=forged | {"X-Request-Id": "forged-line"})
    (line,) = wait_for(
        lambda: [line for line in guarded_server.log.read_text().splitlines() if "forged-line" in line]
    )
    assert json.loads(line)["client"] == "127.0.0.1"


def test_also_a_trusted_proxy_lets_no_page_rebind_its_name(trusting: Trusting, connect: Connect) -> None:
    # a page that has made its name lead here can write every header but Host
    with connect(trusting.url, Host="evil.example") as http:
        assert http.get("/v1/models", headers={"X-Forwarded-Host": "127.0.0.1"}).status_code == 403
    with connect(trusting.url) as http:
        assert http.get("/v1/models", headers={"X-Forwarded-Host": "evil.example"}).status_code == 403


@pytest.mark.slow
def test_a_name_that_is_allowed_is_answered_to_and_others_are_not_even_with_a_key(
    start: Callable[..., ServerProcess], connect: Connect
) -> None:
    with (
        start(API_KEY="a-long-random-key", ALLOWED_HOSTS="CNN.example, [::1]") as url,
        connect(url, Authorization="Bearer a-long-random-key") as http,
    ):
        for host, status in (("cnn.example", 200), ("cnn.EXAMPLE:8000", 200), ("evil.example", 403)):
            answer = http.get("/v1/models", headers={"Host": host})
            assert answer.status_code == status
    assert "CONVSERVE_ALLOWED_HOSTS" in answer.json()["errors"][0]["hint"]
