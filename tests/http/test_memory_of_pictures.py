"""Pictures that are small files and large in memory: however many callers send them, the server takes no more."""

from __future__ import annotations

import base64
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from app.cli.launch import ServerProcess
from tests.pictures.hostile_pictures import saved

MIB = 1 << 20
BUDGET = 100 * MIB
"""What one of these pictures takes while it is read, and not two."""
THREADS = 3
MODEL = "/v1/models/model_example"
PNG, DRAWN = {"Content-Type": "image/png"}, {"Accept": "image/png"}


@pytest.fixture(scope="module")
def bounded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServerProcess, str]]:
    """A server with a small budget, and its address."""
    folder: Path = tmp_path_factory.mktemp("bounded")
    settings = {"COMPUTE_BYTES": str(BUDGET), "CORES": str(THREADS), "PREDICT_SECONDS": "120"}
    server = ServerProcess(folder / "data", folder / "log", settings)
    url = server.start()
    yield server, url
    server.stop()


def memory(server: ServerProcess, name: str) -> int:
    """Return a figure of a process in bytes, as Linux tells it."""
    lines = Path(f"/proc/{server.pid}/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how much a process took at most")
@pytest.mark.slow
@pytest.mark.parametrize("callers", [4, 12])
def test_callers_take_what_the_budget_says_and_a_prediction_is_answered_meanwhile(
    bounded: tuple[ServerProcess, str], callers: int
) -> None:
    server, url = bounded
    bomb = saved("PNG", (3000, 3000), "RGBA")
    assert len(bomb) < 60_000
    text = base64.b64encode(bomb).decode()
    addition = {"label": "3", "images": [text] * 2, "dry_run": True}
    digit = saved("PNG", (28, 28), "L")
    calls = [
        lambda: httpx.post(f"{url}/v1/datasets/digits/images", json=addition, timeout=120),
        lambda: httpx.post(f"{url}{MODEL}/predict", json={"images": [text] * 2}, timeout=120),
        lambda: httpx.post(f"{url}{MODEL}/preprocess", content=bomb, headers=PNG, timeout=120),
        lambda: httpx.post(
            f"{url}{MODEL}/explain?method=gradient", content=bomb, headers=PNG | DRAWN, timeout=120
        ),
    ]
    for call in calls:
        assert call().status_code == 200  # what they need is imported
    Path(f"/proc/{server.pid}/clear_refs").write_text("5", encoding="ascii")
    before = memory(server, "VmRSS")
    done, times = threading.Event(), []

    def honest() -> None:
        while not done.is_set():
            answer = httpx.post(f"{url}{MODEL}/predict", content=digit, headers=PNG, timeout=120)
            assert answer.status_code == 200
            times.append(answer.elapsed.total_seconds())

    with ThreadPoolExecutor(callers + 1) as threads:
        predicting = threads.submit(honest)
        answers = [threads.submit(calls[number % len(calls)]) for number in range(callers)]
        statuses = [answer.result().status_code for answer in answers]
        done.set()
        predicting.result()
    assert statuses == [200] * callers
    assert len(times) > 2
    # beside the budget: what is too small to be counted, bodies, and what the allocator keeps for each thread
    assert memory(server, "VmHWM") - before < BUDGET + 20 * MIB * THREADS
