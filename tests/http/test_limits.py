"""What each limit of the settings answers: its status, soon, and without memory that grows with what was refused.

The table of docs/limits.md is compared with what is tried here.
"""

from __future__ import annotations

import io
import re
import socket
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from app.cli.launch import ServerProcess
from app.settings import Settings
from tests.pictures.hostile_pictures import saved

MIB = 1 << 20
MODEL = "/v1/models/model_example"
IMAGENET = "/v1/models/mobilenet-v2-imagenet"
PNG = {"Content-Type": "image/png"}
ROWS = [[0, 0, 0], [0, 9, 0], [0, 0, 0]]
DIGIT = saved("PNG", (28, 28), "L")
NET = {"input_shape": [28, 28, 1], "layers": [{"type": "flatten"}, {"type": "dense", "units": 10}]}
WIDE = {"input_shape": [28, 28, 1], "layers": [{"type": "flatten"}, {"type": "dense", "units": 100_000}]}


def archive(files: int, content: bytes = b"") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as written:
        for number in range(files):
            written.writestr(f"class{number % 2}/{number}.png", content)
    return packed.getvalue()


def upload(http: httpx.Client, data: bytes) -> httpx.Response:
    return http.post("/v1/datasets", files={"file": ("x.zip", data)})


@dataclass(frozen=True)
class Tried:
    """A limit as it is set for these tests, and what goes beyond it."""

    value: str
    ask: Callable[[httpx.Client], httpx.Response]


TRIED: dict[str, Tried] = {
    "MAX_BODY_BYTES": Tried(
        "20000", lambda http: http.post("/v1/architectures/summary", json={"x": "y" * 100_000})
    ),
    "MAX_PREDICT_BYTES": Tried(
        str(2 * MIB), lambda http: http.post(f"{MODEL}/predict", content=bytes(8 * MIB), headers=PNG)
    ),
    "MAX_PREDICT_IMAGES": Tried(
        "2", lambda http: http.post(f"{MODEL}/predict", files=[("files", ("a.png", DIGIT))] * 3)
    ),
    "MAX_UPLOAD_BYTES": Tried(str(MIB), lambda http: upload(http, b"PK\3\4" + bytes(2 * MIB))),
    "MAX_IMAGE_PIXELS": Tried(
        "1000000",
        lambda http: http.post(f"{MODEL}/predict", content=saved("PNG", (5000, 5000)), headers=PNG),
    ),
    "MAX_ARCHIVE_ENTRIES": Tried("50", lambda http: upload(http, archive(60))),
    "MAX_ARCHIVE_RATIO": Tried("20", lambda http: upload(http, archive(6, bytes(MIB)))),
    "MAX_PARAMETERS": Tried(
        "1000000", lambda http: http.post("/v1/architectures", json={"name": "wide", **WIDE})
    ),
    "MAX_OPERATION_BYTES": Tried(
        "3000000",
        lambda http: http.post(
            "/v1/operations/upsample2d", json={"input": [[[1.0]]], "layer": {"size": 1000}}
        ),
    ),
    "MAX_OPERATION_STEPS": Tried(
        "10000",
        lambda http: http.post("/v1/operations/dense", json={"input": [1.0] * 200, "layer": {"units": 200}}),
    ),
    "MAX_EXPLANATION_MULTIPLY_ADDS": Tried(
        "1000",
        lambda http: http.post(f"{MODEL}/explain?method=gradient", content=DIGIT, headers=PNG),
    ),
    "MAX_TRAINING_BYTES": Tried(
        "1000000",
        lambda http: http.post(
            "/v1/training-jobs", json={"architecture": NET, "dataset": "digits", "epochs": 1}
        ),
    ),
}


@dataclass(frozen=True)
class Crowded:
    """A limit of what all requests share, how a server is set up for it, and who takes all that there is."""

    settings: dict[str, str]
    ask: Callable[[str], httpx.Response]
    begin: tuple[bytes, ...] = ()
    """Requests whose bodies do not end."""


def begun(path: str, kind: str, sent: int) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer key\r\nContent-Type: {kind}\r\n"
    return f"{head}Content-Length: 100000\r\n\r\n".encode() + b"x" * sent


def predict(url: str) -> httpx.Response:
    return httpx.post(f"{url}{IMAGENET}/predict", content=DIGIT, headers=PNG, timeout=60)


def explain_by_many(url: str) -> httpx.Response:
    def explain(_: int) -> httpx.Response:
        with httpx.Client(timeout=2) as client:
            return client.post(f"{url}{IMAGENET}/explain?method=occlusion", content=DIGIT, headers=PNG)

    with ThreadPoolExecutor(6) as threads:
        answers = [threads.submit(explain, number) for number in range(6)]
    found = [answer.result() for answer in answers if answer.exception() is None]
    return next((answer for answer in found if answer.status_code != 200), httpx.Response(200))


def list_models(url: str) -> httpx.Response:
    return httpx.get(f"{url}/v1/models", headers={"Authorization": "Bearer key"}, timeout=60)


def add_archive(url: str) -> httpx.Response:
    return httpx.post(f"{url}/v1/datasets", files={"file": ("x.zip", archive(6))}, timeout=60)


CROWDED: dict[str, Crowded] = {
    "MAX_QUEUE": Crowded({"MAX_QUEUE": "1", "CORES": "1"}, explain_by_many),
    "MAX_QUEUE_BYTES": Crowded(
        {"MAX_QUEUE_BYTES": "1000"}, predict, (begun(f"{IMAGENET}/predict", "image/png", 1000),)
    ),
    "PREDICT_SECONDS": Crowded({"PREDICT_SECONDS": "0.001"}, predict),
    "MAX_REQUESTS_PER_KEY": Crowded(
        {"MAX_REQUESTS_PER_KEY": "1", "API_KEY": "key"},
        list_models,
        (begun("/v1/models/import", "application/octet-stream", 9),),
    ),
    "MAX_UPLOADS": Crowded(
        {"MAX_UPLOADS": "1"}, add_archive, (begun("/v1/models/import", "application/octet-stream", 9),)
    ),
    "MAX_CONNECTIONS": Crowded(
        {"MAX_CONNECTIONS": "8"},
        list_models,
        (begun("/v1/models/import", "application/octet-stream", 9),) * 8,
    ),
    "MAX_DATA_BYTES": Crowded({"MAX_DATA_BYTES": "1"}, add_archive),
    "MIN_FREE_BYTES": Crowded({"MIN_FREE_BYTES": str(1 << 60)}, add_archive),
}


TOGETHER = (
    ("PREDICT_SECONDS", "MAX_UPLOADS"),
    ("MAX_QUEUE_BYTES", "MAX_CONNECTIONS", "MAX_DATA_BYTES"),
    ("MAX_QUEUE", "MIN_FREE_BYTES"),
    ("MAX_REQUESTS_PER_KEY",),
)
"""Limits that do not meet: each of these has one server."""


@pytest.fixture(scope="module")
def crowded_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """Return the address of a server that is set up for a limit, and perhaps for others."""
    started: dict[tuple[str, ...], str] = {}
    with ExitStack() as stack:

        def serve(name: str) -> str:
            (names,) = [names for names in TOGETHER if name in names]
            if names not in started:
                folder = tmp_path_factory.mktemp("crowded")
                settings = {key: value for each in names for key, value in CROWDED[each].settings.items()}
                server = ServerProcess(folder / "data", folder / "log", settings)
                started[names] = stack.enter_context(server)
            return started[names]

        yield serve


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.local) if name == "MIN_FREE_BYTES" else name for name in CROWDED],
)
def test_a_limit_of_all_answers_what_the_table_says(
    crowded_server: Callable[[str], str], wait_for: Callable[..., httpx.Response], name: str
) -> None:
    crowded = CROWDED[name]
    url = crowded_server(name)
    address = urlsplit(url)

    def refused() -> httpx.Response | None:
        # begun anew each time: bodies that do not end are not waited for long
        with ExitStack() as opened:
            for request in crowded.begin:
                connection = socket.create_connection((address.hostname, address.port), timeout=60)
                opened.enter_context(connection).sendall(request)
            answer = crowded.ask(url)
            return answer if answer.is_error else None

    answer = wait_for(refused, "a refusal")
    problem = answer.json()
    status, code = documented()[name]
    assert (answer.status_code, problem["type"].removeprefix("/problems/")) == (status, code), problem
    if status in (429, 503):
        assert int(answer.headers["retry-after"]) > 0


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServerProcess, httpx.Client]]:
    folder: Path = tmp_path_factory.mktemp("strict")
    settings = {name: tried.value for name, tried in TRIED.items()}
    server = ServerProcess(folder / "data", folder / "log", settings)
    with httpx.Client(base_url=server.start(), timeout=60) as client:
        yield server, client
    server.stop()


def documented() -> dict[str, tuple[int, str]]:
    """Return status and code of each limit, as the table says."""
    text = (Path(__file__).parents[2] / "docs/limits.md").read_text(encoding="utf-8")
    table = text.partition("## What goes beyond a limit")[2].partition("\n\n#")[0]
    rows = re.findall(r"^\| (`CONVSERVE_.*?) \| (\d{3}) \| `(.*?)`.* \|", table, re.MULTILINE)
    return {
        name: (int(status), code)
        for names, status, code in rows
        for name in re.findall("CONVSERVE_([A-Z_]+)", names)
    }


@pytest.mark.parametrize("name", TRIED)
def test_a_limit_answers_what_the_table_says(strict: tuple[ServerProcess, httpx.Client], name: str) -> None:
    _, http = strict
    answer = TRIED[name].ask(http)
    problem = answer.json()
    assert (answer.status_code, problem["type"].removeprefix("/problems/")) == documented()[name], problem
    assert len(answer.content) < 10_000


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how much a process took at most")
def test_refusals_take_less_than_two_seconds_and_64_mib(strict: tuple[ServerProcess, httpx.Client]) -> None:
    server, http = strict
    for tried in TRIED.values():
        tried.ask(http)  # what they need is imported
    proc = Path(f"/proc/{server.pid}")

    def memory(name: str) -> int:
        lines = (proc / "status").read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith(name)).split()[1]) * 1024

    def seconds() -> float:
        fields = (proc / "stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    for name, tried in TRIED.items():
        (proc / "clear_refs").write_text("5", encoding="ascii")
        before, began, clock = memory("VmRSS"), seconds(), time.monotonic()
        tried.ask(http)
        assert memory("VmHWM") - before < 64 * MIB, name
        assert seconds() - began < 2, (name, time.monotonic() - clock)


def test_the_table_has_every_limit() -> None:
    limits = {name.upper() for name in Settings.model_fields if name.startswith("max_")}
    others = {"MAX_JOBS", "MAX_FEATURE_BYTES", "MAX_CACHE_BYTES"}  # these refuse nothing
    assert limits - others <= documented().keys()
    assert documented().keys() == TRIED.keys() | CROWDED.keys()
