"""Predictions that share batches: the answers of each alone, and the faults of each its own."""

import base64
import os
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import pytest

import app.builtin
from app.cli.launch import ServerProcess
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.model.model_file import model_bytes, read_model
from engine.recipe.losses import BinaryCrossEntropy, MeanSquaredError, SoftmaxCrossEntropy

FILE = Path(app.builtin.__file__).with_name("model_example.safetensors")
RAW = {"Content-Type": "application/octet-stream"}
CALLERS = 16
DENSE = [{"type": "flatten"}, {"type": "dense", "units": 10}]
CONV = {"type": "conv2d", "filters": 8, "padding": "same", "activation": "relu"}
NETWORKS: dict[str, tuple[list[Any], Any]] = {
    "class": ([CONV, {"type": "batch_norm"}, {"type": "max_pool2d"}, *DENSE], SoftmaxCrossEntropy()),
    "labels": ([CONV, *DENSE], BinaryCrossEntropy()),
    "values": ([{**CONV, "activation": "tanh"}, *DENSE], MeanSquaredError()),
}
WIDE = {"type": "conv2d", "filters": 64, "kernel_size": 5, "padding": "same", "activation": "relu"}
SLOW = [WIDE, WIDE, WIDE, WIDE, *DENSE]
"""Takes some hundredths of a second for a picture."""
BAD = b"this is no picture"

Answers = Sequence[httpx.Response]


class Served(NamedTuple):
    """A server and its address."""

    url: str
    process: ServerProcess


def model_file(layers: list[Any], loss: Any = None, target: Any = "class") -> bytes:
    """Return a model of digits whose weights nobody trained."""
    architecture = Architecture.model_validate({"input_shape": [28, 28, 1], "layers": layers})
    weights = Network.build(architecture).initial_weights(5)
    made = replace(read_model(FILE), architecture=architecture, weights=weights, target=target)
    return model_bytes(made if loss is None else replace(made, loss=loss))


def imported(client: httpx.Client, name: str, content: bytes) -> str:
    answer = client.post("/v1/models/import", content=content, params={"name": name}, headers=RAW)
    assert answer.status_code == 201, answer.text
    return f"/v1/models/{answer.json()['id']}/predict"


@pytest.fixture(scope="module")
def digits(http: httpx.Client) -> list[bytes]:
    return [http.get(f"/v1/datasets/digits/images/{number}").content for number in range(40)]


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Served]]:
    """Start a server with settings of its own."""
    started: list[ServerProcess] = []

    def start(**settings: str) -> Served:
        folder = tmp_path_factory.mktemp("serving")
        started.append(ServerProcess(folder / "data", folder / "log", settings))
        return Served(started[-1].start(), started[-1])

    yield start
    for process in started:
        process.stop()


@pytest.fixture(scope="module")
def batches(serve: Callable[..., Served], connect: Callable[..., httpx.Client]) -> Iterator[httpx.Client]:
    """A server that makes batches of whatever comes within a tenth of a second."""
    with connect(serve(BATCH_WAIT_MS="100", BATCH_SIZE="12").url) as client:
        yield client


@pytest.fixture(scope="module")
def alone(serve: Callable[..., Served], connect: Callable[..., httpx.Client]) -> Iterator[httpx.Client]:
    """A server that computes every picture by itself."""
    with connect(serve(BATCH_SIZE="1").url) as client:
        yield client


def at_once(client: httpx.Client, path: str, bodies: Sequence[bytes], **params: Any) -> Answers:
    """Send each picture in a request of its own, many at the same time."""
    with ThreadPoolExecutor(CALLERS) as callers:
        return list(
            callers.map(lambda body: client.post(path, content=body, headers=RAW, params=params), bodies)
        )


def ranked(entry: dict[str, Any]) -> dict[str, float]:
    return {candidate["label"]: candidate["probability"] for candidate in entry["top"]}


def assert_same(entry: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Compare a picture's entries: numbers to 1e-5, the order of classes unless two are as near."""
    assert entry["error"] is None
    if wanted["values"] is not None:
        values, others = entry["values"], wanted["values"]
        assert [value["name"] for value in values] == [value["name"] for value in others]
        np.testing.assert_allclose(
            [value["value"] for value in values], [value["value"] for value in others], rtol=1e-5, atol=1e-5
        )
        return
    known = ranked(wanted)
    found = ranked(entry)
    assert found.keys() == known.keys()
    for label, probability in found.items():
        assert probability == pytest.approx(known[label], abs=1e-5)
    for (label, after), (other, before) in zip(found.items(), known.items(), strict=True):
        assert label == other or abs(after - before) < 1e-5
    if wanted["label"] is not None:
        assert entry["label"] == entry["top"][0]["label"]
    if wanted["labels"] is not None:
        assert abs(len(entry["labels"]) - len(wanted["labels"])) <= sum(
            abs(probability - 0.5) < 1e-5 for probability in known.values()
        )


@pytest.mark.slow
@pytest.mark.parametrize("target", [None, *NETWORKS])
def test_a_prediction_in_a_batch_is_that_of_the_picture_alone(
    batches: httpx.Client, alone: httpx.Client, digits: list[bytes], target: str | None
) -> None:
    if target is None:
        paths = ["/v1/models/model_example/predict"] * 2
    else:
        layers, loss = NETWORKS[target]
        content = model_file(layers, loss, target)
        paths = [imported(client, target, content) for client in (batches, alone)]
    answers = [alone.post(paths[1], content=digit, headers=RAW, params={"top_k": 10}) for digit in digits]
    wanted = [answer.json()["data"][0] for answer in answers]
    for answer, entry in zip(at_once(batches, paths[0], digits, top_k=10), wanted, strict=True):
        assert answer.status_code == 200, answer.text
        assert_same(answer.json()["data"][0], entry)
    body = {"images": [base64.b64encode(digit).decode() for digit in digits]}
    together = batches.post(paths[0], json=body, params={"top_k": 10})
    for found, entry in zip(together.json()["data"], wanted, strict=True):
        assert_same(found, entry)
    assert batches.post(paths[0], json=body, params={"top_k": 10}).content == together.content


@pytest.mark.parametrize("asked", ["batches", "http"])
def test_a_bad_picture_fails_its_own_request_and_no_other(
    request: pytest.FixtureRequest, alone: httpx.Client, digits: list[bytes], asked: str
) -> None:
    client: httpx.Client = request.getfixturevalue(asked)
    path = "/v1/models/model_example/predict"
    bodies = [BAD if number % 5 == 3 else digits[number % len(digits)] for number in range(64)]
    for body, answer in zip(bodies, at_once(client, path, bodies), strict=True):
        if body is BAD:
            assert answer.status_code == 422
            assert answer.json()["type"] == "/problems/unreadable-picture"
        else:
            assert answer.status_code == 200
            assert_same(
                answer.json()["data"][0], alone.post(path, content=body, headers=RAW).json()["data"][0]
            )


@pytest.mark.parametrize("form", ["files", "base64"])
def test_errors_are_reported_picture_by_picture_when_asked_for(
    batches: httpx.Client, digits: list[bytes], form: str
) -> None:
    path = "/v1/models/model_example/predict"
    bad = {2: BAD, 20: digits[0][:60], 33: b""}
    pictures = [bad.get(number, digit) for number, digit in enumerate(digits)]
    if form == "files":
        sent: dict[str, Any] = {"files": [("files", (f"{n}.png", body)) for n, body in enumerate(pictures)]}
    else:
        texts = [base64.b64encode(picture).decode() for picture in pictures]
        sent = {"json": {"images": [*texts[:7], "no base64!", *texts[8:]]}}
        bad[7] = b""
    failed = batches.post(path, **sent)
    assert failed.status_code == 422
    answer = batches.post(path, params={"errors": "report"}, **sent)
    assert answer.status_code == 200, answer.text
    good = batches.post(path, files=[("files", (f"{n}.png", body)) for n, body in enumerate(digits)]).json()
    for number, entry in enumerate(answer.json()["data"]):
        if number not in bad:
            assert_same(entry, good["data"][number])
            continue
        assert entry["label"] is entry["class_index"] is entry["probability"] is None
        assert entry["top"] == []
        error = entry["error"]
        if form == "files":
            assert (error["parameter"], error["pointer"]) == ("files", None)
            assert entry["filename"] == f"{number}.png"
        else:
            assert (error["parameter"], error["pointer"]) == (None, f"/images/{number}")
        assert error["detail"]
    # as `errors=fail` says of the first
    first = answer.json()["data"][2 if form == "files" else min(bad)]["error"]["detail"]
    assert first in failed.json()["detail"] or form == "base64"


def test_what_errors_can_be(http: httpx.Client, digits: list[bytes]) -> None:
    answer = http.post(
        "/v1/models/model_example/predict", content=digits[0], headers=RAW, params={"errors": "hide"}
    )
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["parameter"] == "errors"


def resident(pid: int) -> int:
    """Return the bytes of memory that a process holds."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


def busy(pid: int) -> float:
    """Return the seconds that a process has computed."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux shows it")


@linux
@pytest.mark.parametrize(
    "bound",
    [{"MAX_QUEUE": "4"}, pytest.param({"MAX_QUEUE_BYTES": "4000000"}, marks=pytest.mark.slow)],
    ids=str,
)
def test_a_full_queue_says_so_and_memory_stays(
    serve: Callable[..., Served],
    connect: Callable[..., httpx.Client],
    digits: list[bytes],
    bound: dict[str, str],
) -> None:
    server = serve(CORES="1", BATCH_SIZE="2", **bound)
    with connect(server.url) as client:
        path = imported(client, "slow", model_file(SLOW))
        # as large as they come: what is refused must not stay
        body = {"images": [base64.b64encode(digits[0] + bytes(200_000)).decode()]}

        def ask(_: int) -> httpx.Response:
            return client.post(path, json=body)

        taken: list[int] = []
        for _ in range(4):
            with ThreadPoolExecutor(40) as callers:
                answers = list(callers.map(ask, range(40)))
            counts = {code: sum(answer.status_code == code for answer in answers) for code in (200, 503)}
            assert sum(counts.values()) == len(answers)
            assert counts[200] >= 4
            assert counts[503] >= 1
            for answer in answers:
                if answer.status_code == 503:
                    assert answer.json()["type"] == "/problems/queue-full"
                    assert int(answer.headers["Retry-After"]) > 0
            taken.append(resident(server.process.pid))
        assert taken[-1] < taken[0] + 30_000_000


@linux
def test_work_of_a_caller_who_has_gone_is_dropped(
    serve: Callable[..., Served],
    connect: Callable[..., httpx.Client],
    digits: list[bytes],
    wait_for: Callable[..., Any],
) -> None:
    server = serve(CORES="1", BATCH_SIZE="2")
    with connect(server.url) as client:
        path = imported(client, "slow", model_file(SLOW))
        files = [("files", (f"{number}.png", digits[0])) for number in range(40)]
        assert client.post(path, files=files[:2]).status_code == 200
        begun = busy(server.process.pid)
        assert client.post(path, files=files).status_code == 200
        whole = busy(server.process.pid) - begun
        request = client.build_request("POST", path, files=files)
        body = request.read()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {request.headers['content-type']}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        begun = busy(server.process.pid)
        with socket.create_connection(("127.0.0.1", request.url.port)) as connection:
            connection.sendall(head.encode() + body)
            wait_for(lambda: busy(server.process.pid) > begun + whole / 20, "the beginning of the work")
        assert client.post(path, files=files[:1]).status_code == 200
        wait_for(lambda: "499" in server.process.log.read_text(), "the line of who has gone")
        assert busy(server.process.pid) - begun < whole / 2


@pytest.mark.slow
def test_a_request_has_a_deadline(
    serve: Callable[..., Served],
    connect: Callable[..., httpx.Client],
    digits: list[bytes],
    wait_for: Callable[..., Any],
) -> None:
    server = serve(CORES="1", PREDICT_SECONDS="1")
    with connect(server.url) as client:
        path = imported(client, "slow", model_file(SLOW))
        files = [("files", (f"{number}.png", digits[0])) for number in range(256)]
        wait_for(lambda: client.post(path, files=files[:1]).status_code == 200, "a model in memory")
        late = client.post(path, files=files)
        assert late.status_code == 503
        assert late.json()["type"] == "/problems/deadline-exceeded"
        assert int(late.headers["Retry-After"]) > 0
        wait_for(lambda: client.post(path, files=files[:1]).status_code == 200, "an answer in time")
