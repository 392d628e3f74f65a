"""What looks into networks takes what there is of memory together, however many callers ask for it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from app.cli.launch import ServerProcess
from tests.pictures.hostile_pictures import saved

MIB = 1 << 20
MODEL = "/v1/models/mobilenet-v2-imagenet"
CALLERS = 3
TALL = {"input_shape": [8, 8, 1], "layers": [{"type": "relu"}] * 1990}
PNG = {"Content-Type": "image/png"}

CALLS: dict[str, Callable[[str], httpx.Response]] = {
    # each takes some 170 MB or 85 MB
    "gradients": lambda url: httpx.post(
        f"{url}{MODEL}/activations?gradient=score",
        content=saved("PNG", (28, 28), "L"),
        headers=PNG,
        timeout=300,
    ),
    "diagrams": lambda url: httpx.post(
        f"{url}/v1/architectures/diagram?folded=false",
        json=TALL,
        headers={"Accept": "image/png"},
        timeout=300,
    ),
    "augmentations": lambda url: httpx.post(
        f"{url}/v1/operations/augment",
        files={"file": ("large.png", saved("PNG", (1000, 1000), "RGB"))},
        data={"augmentation": json.dumps({"type": "horizontal_flip"}), "count": "8"},
        headers={"Accept": "application/x-npz"},
        timeout=300,
    ),
}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how much a process took at most")
@pytest.mark.parametrize(
    "name",
    [name if name == "augmentations" else pytest.param(name, marks=pytest.mark.slow) for name in CALLS],
)
def test_callers_take_what_there_is(start: Callable[..., ServerProcess], name: str) -> None:
    server = start(COMPUTE_BYTES=str(100 * MIB), CORES=str(CALLERS))
    url = server.start()

    def memory(figure: str) -> int:
        lines = Path(f"/proc/{server.pid}/status").read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith(figure)).split()[1]) * 1024

    if name == "gradients":
        assert httpx.get(f"{url}{MODEL}/filters", timeout=300).status_code == 200  # it is loaded
    before = memory("VmRSS")

    def most(callers: int) -> int:
        Path(f"/proc/{server.pid}/clear_refs").write_text("5", encoding="ascii")
        with ThreadPoolExecutor(callers) as threads:
            answers = list(threads.map(CALLS[name], [url] * callers))
        assert [answer.text[:200] for answer in answers if answer.status_code != 200] == []
        return memory("VmHWM") - before

    alone, together = most(1), most(CALLERS)
    assert alone > 50 * MIB
    # one after the other; beside that what the allocator keeps for each thread
    assert together < alone + 20 * MIB * CALLERS
