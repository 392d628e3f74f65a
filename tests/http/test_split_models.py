"""Single pictures by two processes: the answers of one, and no more processes than were asked for."""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

import app.builtin
from app.cli.launch import ServerProcess
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.model.model_file import model_bytes, read_model
from tests.processes import running

pytestmark = pytest.mark.slow

FILE = Path(app.builtin.__file__).with_name("model_example.safetensors")
RAW = {"Content-Type": "application/octet-stream"}
CONV = {"type": "conv2d", "filters": 64, "padding": "same", "activation": "relu"}
LAYERS = [CONV, CONV, {"type": "max_pool2d"}, CONV, {"type": "flatten"}, {"type": "dense", "units": 10}]


def large_model(seed: int) -> bytes:
    """Return a model of digits that is worth two processes."""
    architecture = Architecture.model_validate({"input_shape": [28, 28, 1], "layers": LAYERS})
    weights = Network.build(architecture).initial_weights(seed)
    return model_bytes(replace(read_model(FILE), architecture=architecture, weights=weights))


def halves() -> dict[int, int]:
    """Return the processes that compute lower halves, and who started them."""
    return {each.pid: each.parent for each in running() if "-m engine.fast.serving.half" in each.command}


def busy(pid: int) -> float:
    """Return the seconds that a process has computed."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def settled(pid: int) -> float:
    """Return the seconds that a process has computed once it sleeps, else 0."""
    before = busy(pid)
    time.sleep(0.3)
    return before if busy(pid) == before else 0.0


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux shows it")
def test_single_pictures_by_two_processes(
    start: Callable[..., ServerProcess],
    connect: Callable[..., httpx.Client],
    wait_for: Callable[..., Any],
    http: httpx.Client,
) -> None:
    picture = {"files": ("d.png", http.get("/v1/datasets/digits/images/0").content)}

    def imported(client: httpx.Client, seed: int) -> str:
        name = {"name": f"large-{seed}"}
        answer = client.post("/v1/models/import", content=large_model(seed), params=name, headers=RAW)
        assert answer.status_code == 201, answer.text
        identifier: str = answer.json()["id"]
        return identifier

    def ask(client: httpx.Client, model: str) -> dict[str, float]:
        answer = client.post(f"/v1/models/{model}/predict", files=picture, params={"top_k": 10})
        assert answer.status_code == 200, answer.text
        return {top["label"]: top["probability"] for top in answer.json()["data"][0]["top"]}

    server = start(SPLIT_MODELS="1")
    with server as url, connect(url) as client:

        def own() -> set[int]:
            return {pid for pid, parent in halves().items() if parent == server.pid}

        ask(client, "model_example")
        assert not own()  # it is too small to gain by it
        seen: list[set[int]] = []
        for seed in range(2):
            split, whole = imported(client, seed), imported(http, seed)
            wanted = ask(http, whole)
            assert ask(client, split) == pytest.approx(wanted, abs=1e-5)
            (pid,) = own()
            started = wait_for(partial(settled, pid))
            while busy(pid) < started + 0.1:  # until the other process has taken part for certain
                assert ask(client, split) == pytest.approx(wanted, abs=1e-5)
            seen.append(own())
        assert [len(pids) for pids in seen] == [1, 1]
        assert seen[0] != seen[1]  # the second model's; the first has none any more
        assert client.delete(f"/v1/models/{split}").status_code == 204
        assert not own()
        ask(client, imported(client, 2))
        (last,) = own()
    wait_for(lambda: last not in halves())
