"""Our side of each benchmark runs; the other sides need what only `make bench` installs."""

from __future__ import annotations

import contextlib
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from benchmarks import sides
from benchmarks.http import load
from benchmarks.http.cases import CASES, write_files
from benchmarks.ray_workers import simulated
from benchmarks.recorded_runs import RecordedRuns
from engine.model.inference import Predictor
from engine.model.model_file import read_model

CASE = [2, 8, 3, 16, 3, 1, 1]
"""Pictures, size, channels, filters, kernel, stride, padding."""


@pytest.mark.parametrize("backward", [False, True])
def test_one_layer(backward: bool) -> None:
    run = sides.layer(CASE, backward=backward)
    run()
    run()


def test_predictions() -> None:
    assert sides.inference("lenet-5", 2)().shape == (2, 10)


def printed(*words: str) -> str:
    """Return what a benchmark prints."""
    command = [sys.executable, "-m", *words]
    root = Path(__file__).parents[2]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=root).stdout


def test_nodes() -> None:
    found = printed("benchmarks.nodes", "lenet-5", "--batch", "8", "--steps", "2", "--rounds", "1")
    assert "4 waits a step" in found
    assert "10 Gbit/s" in found


@pytest.mark.slow
def test_a_crowd() -> None:
    few = ("--uploads", "2", "--pollers", "2", "--streams", "2")
    found = printed("benchmarks.crowd", "--seconds", "0.5", "--rate", "20", *few)
    assert [line.split()[0] for line in found.splitlines()] == [
        *("warm", "before", "elsewhere", "arriving", "with", "after")
    ]
    assert found.count("{'200': ") == 6


@pytest.mark.cluster
def test_many_jobs() -> None:
    found = printed("benchmarks.many_jobs", "--jobs", "65536", "--seconds", "0.5")
    assert found.count("65,536 jobs") == found.count("one worker takes") == 2


@pytest.mark.cluster
def test_workers_on_ray() -> None:
    found = printed("benchmarks.ray_workers", "--jobs", "2", "--rounds", "1")
    assert "left out" in found or found.count("jobs a minute; each") == 2


def test_simulated_jobs_share_cores_and_have_the_server_in_turn() -> None:
    ways = {"server": 0.25, "computing": 0.5, "waiting": 0.25}
    # a job a second by one slot; the server and the cores are the bounds of many
    assert simulated(1, 2, **ways) == pytest.approx(60)
    assert simulated(64, 64, **ways) == pytest.approx(60 / 0.25, rel=0.05)
    assert simulated(64, 1, **ways) == pytest.approx(60 / 0.5, rel=0.05)


@pytest.mark.cluster
def test_two_servers() -> None:
    found = printed("benchmarks.two_servers", "--rounds", "1", "--seconds", "0.3")
    assert found.count("predictions/s") == 2
    assert "two against one" in found


ANSWERS = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "full": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
}


@contextmanager
def tiny_server(answer: bytes, parts: int, most: int | None = None) -> Iterator[int]:
    """Answer each request with these bytes, in some parts; close a connection after so many answers.

    A thread a connection, each waited for: what is taken in the last moment is closed too.
    """
    size = -(-len(answer) // parts)

    class Connection(socketserver.StreamRequestHandler):
        disable_nagle_algorithm = True

        def handle(self) -> None:
            answered = 0
            with contextlib.suppress(ConnectionError):
                while answered != most and self.rfile.read(len(REQUEST)) == REQUEST:
                    for start in range(0, len(answer), size):
                        self.wfile.write(answer[start : start + size])
                    answered += 1

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Connection) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


REQUEST = load.request_bytes("/predict", b"picture", {"Content-Type": "image/png"})


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("kind", ["length", "chunks"])
def test_load_counts_answers(kind: str, parts: int) -> None:
    with tiny_server(ANSWERS[kind], parts) as port:
        found = load.run("127.0.0.1", port, REQUEST, 4, 0.2)
    assert found.statuses == {"200": found.requests}
    # each connection sends again when it has had its answer, and what is under way at the end is waited for
    assert found.answered > 4
    assert found.errors == 0
    assert 0 < found.p50_ms <= found.p99_ms


def test_load_reports_refusals_as_errors() -> None:
    with tiny_server(ANSWERS["full"], 1) as port:
        found = load.run("127.0.0.1", port, REQUEST, 2, 0.1)
    assert found.statuses == {"503": found.requests}
    assert found.errors == found.requests > 0


def test_load_reports_lost_connections_and_goes_on() -> None:
    with tiny_server(ANSWERS["length"], 1, most=2) as port:
        found = load.run("127.0.0.1", port, REQUEST, 2, 0.2)
    assert found.lost > 1
    assert found.answered > 2


def test_load_at_a_rate_sends_what_is_due() -> None:
    with tiny_server(ANSWERS["length"], 1) as port:
        began = time.perf_counter()
        found = load.run("127.0.0.1", port, REQUEST, 2, 0.4, rate=50)
        seconds = time.perf_counter() - began
    # however long a busy machine took for it, no more can have been due
    assert 0 < found.answered <= seconds * 50
    assert found.errors == 0


def test_the_networks_that_other_servers_get_predict_the_same(tmp_path: Path) -> None:
    ours, theirs = write_files(CASES["lenet-tensor"], tmp_path)
    x = CASES["lenet-tensor"].tensor()
    (found,) = onnxruntime.InferenceSession(theirs).run(None, {"input": x.transpose(0, 3, 1, 2)})
    np.testing.assert_allclose(found, Predictor(read_model(ours)).predict(x), atol=1e-6)


def test_runs_are_added_to_those_that_are_recorded(tmp_path: Path) -> None:
    file = tmp_path / "recorded" / "runs.json"
    RecordedRuns(file).add("head", 10, 1, {"accuracy": 0.5})
    RecordedRuns(file).add("head", 10, 0, {"accuracy": 0.25})
    RecordedRuns(file).add("head", 100, 0, {"accuracy": 0.75})
    runs = RecordedRuns(file)
    assert runs.has("head", 10, 1)
    assert not runs.has("head", 10, 2)
    assert [run["accuracy"] for run in runs.of("head", 10)] == [0.25, 0.5]
    assert runs.of("all", 10) == []
