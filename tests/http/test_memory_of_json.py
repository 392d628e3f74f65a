"""JSON becomes many times its bytes: that is reserved before it is parsed, from what all bodies may hold together."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from app.cli.launch import ServerProcess

MIB = 1 << 20
ROOM = 64 * MIB
MODEL = "/v1/models/model_example"
JSON = {"Content-Type": "application/json"}
EMOJI = "\U0001f600".encode()

on_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells how much a process took at most"
)


def strings(part: bytes, size: int) -> bytes:
    return b'["' + part * (size // len(part)) + b'"]'


def listed(values: Iterator[bytes] | list[bytes]) -> bytes:
    return b"[" + b",".join(values) + b"]"


BODIES: dict[str, Callable[[], bytes]] = {
    "a text of ASCII": lambda: strings(b"x", 16 * MIB),
    "a text with one wide character": lambda: strings(b"x", 16 * MIB)[:-2] + EMOJI + b'"]',
    "a text with one wide character in escapes": lambda: strings(b"x", 16 * MIB)[:-2] + rb'\ud83d\ude00"]',
    "a text of escapes": lambda: strings(rb"\n", 8 * MIB),
    "a text of pieces between escapes": lambda: strings(rb"ab\n", 8 * MIB),
    "a wide text of pieces between escapes": lambda: b'["' + EMOJI + strings(rb"ab\n", 2 * MIB)[2:],
    "many wide texts": lambda: listed([b'"' + EMOJI + b"x" * 150 + b'"'] * 90_000),
    "many short texts": lambda: listed([b'"ab"'] * 99_000),
    "many numbers": lambda: listed([b"1.5"] * 99_000),
    "many keys": lambda: b"{" + b",".join(b'"%x":1.5' % number for number in range(99_000)) + b"}",
    "many lists": lambda: listed([b"[]"] * 29_000),
    "many lists, deep down": lambda: b"[" * 60 + listed([b"[]"] * 29_000) + b"]" * 60,
    "many objects": lambda: listed([b'{"a":1.5,"b":2.5}'] * 29_000),
}

_MEASURE = """
import json, sys
from pathlib import Path
from app.web.bodies.json import parse, parsed_bytes

def memory(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

body = sys.stdin.buffer.read()
parse(b'{"a": [1, "\\\\n"]}')
Path("/proc/self/clear_refs").write_text("5")
before = memory("VmRSS")
parse(body)
print(json.dumps([memory("VmHWM") - before, parsed_bytes(body)]))
"""


@pytest.mark.slow
@on_linux
@pytest.mark.parametrize("name", BODIES)
def test_no_body_takes_more_than_is_reserved_for_it(name: str) -> None:
    command = [sys.executable, "-c", _MEASURE]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], input=BODIES[name](), capture_output=True, check=True
    )
    taken, reserved = json.loads(done.stdout)
    assert taken < reserved + MIB


@pytest.fixture(scope="module")
def bounded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServerProcess, str]]:
    """A server with little room for bodies, and its address."""
    folder: Path = tmp_path_factory.mktemp("bounded")
    server = ServerProcess(folder / "data", folder / "log", {"MAX_QUEUE_BYTES": str(ROOM), "CORES": "2"})
    yield server, server.start()
    server.stop()


def memory(server: ServerProcess, name: str) -> int:
    """Return a figure of a process in bytes, as Linux tells it."""
    lines = Path(f"/proc/{server.pid}/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) * 1024


def keys(count: int) -> bytes:
    return b"{" + b",".join(b'"%x":1.5' % number for number in range(count)) + b"}"


TENSOR = b'{"inputs":[{"name":"input","shape":[1,28,28,1],"datatype":"FP32","data":' + listed(
    [b"[0.25]"] * 250_000
)
SENT = {
    "/v1/operations/relu": b'{"input":'
    + listed([b"[1.5]"] * 29_000)
    + b',"x":"'
    + rb"ab\n" * (MIB // 4)
    + b'"}',
    f"{MODEL}/predict": b'{"images":' + strings(rb"ab\n", 2 * MIB) + b"}",
    "/v2/models/model_example/infer": TENSOR + b"}]}",
    "/v1/architectures/summary": keys(90_000),
    "/v1/architectures": keys(90_000),
    "/v1/training-jobs": keys(90_000),
    "/v1/datasets/digits/corrections": b'{"corrections":' + listed([b'{"number":1}'] * 29_000) + b"}",
}


@pytest.mark.slow
@on_linux
def test_bodies_of_many_callers_take_what_there_is_room_for(bounded: tuple[ServerProcess, str]) -> None:
    server, url = bounded

    def post(path: str) -> httpx.Response:
        return httpx.post(url + path, content=SENT[path], headers=JSON, timeout=120)

    for path in SENT:
        assert post(path).status_code in (200, 400, 409, 413, 422), path  # alone, each is taken
    Path(f"/proc/{server.pid}/clear_refs").write_text("5", encoding="ascii")
    before = memory(server, "VmRSS")
    with ThreadPoolExecutor(28) as threads:
        answers = list(threads.map(post, list(SENT) * 4))
    refused = [answer for answer in answers if answer.status_code == 503]
    assert len(refused) < len(answers)
    for answer in refused:
        assert "requests of" in answer.text
        assert int(answer.headers["retry-after"]) > 0
    # beside the room: one that was taken since there was no other, and what allocators keep
    assert memory(server, "VmHWM") - before < ROOM + 64 * MIB, (
        memory(server, "VmHWM") - before,
        len(refused),
    )
