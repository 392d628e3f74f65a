"""`python -m benchmarks.start`: how soon the service answers after it was started, beside the simplest peer.

The peer (`plain_server.py`) is FastAPI and ONNX Runtime with a LeNet-5. Each side is started in turn, asked for
`/livez` until it answers, then for what it sees in a picture. Time is that of the clock, and that of the processor for
all of a side's threads and processes: the clock also counts what others do on the same cores. Ours is started on a
fresh data directory, which is then filled, and on one that is there. Each side is then started again, left alone for
some seconds, and its resident memory is read. `--plain` names the interpreter with what the peer needs, by default
this one.

Writes the section on the start in docs/performance.md.
"""

from __future__ import annotations

import argparse
import io
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "performance.md"
_BEGIN, _END = "<!-- measured start -->", "<!-- /measured start -->"
_IDLE_SECONDS = 5.0
_TICKS = os.sysconf("SC_CLK_TCK")

PEER, FRESH, AGAIN = "FastAPI and ONNX Runtime", "convserve, fresh data directory", "convserve"


class Moment(NamedTuple):
    """When an answer came: seconds of the clock and of processors since the start, and bytes that are resident."""

    clock: float
    processor: float
    resident: int


class Start(NamedTuple):
    """One start of one side."""

    alive: Moment
    prediction: Moment
    idle: int


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--plain", default=sys.executable, help="interpreter of the peer")
    parser.add_argument("--service", default=sys.executable, help="interpreter of the service")
    parser.add_argument("--keep", action="store_true", help="write docs/performance.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        write_lenet(directory / "lenet.onnx")
        picture = digit()
        measured: dict[str, list[Start]] = {PEER: [], FRESH: [], AGAIN: []}
        for number in range(options.rounds):
            data = directory / str(number)
            ours = [options.service, "-P", "-m", "app.cli", "serve", "--data-dir", str(data), "--port"]
            plain = [options.plain, str(ROOT / "benchmarks" / "plain_server.py")]
            path = "/v1/models/model_example/predict"
            measured[PEER].append(start(plain, [str(directory / "lenet.onnx")], "/predict", picture))
            measured[FRESH].append(start(ours, [], path, picture))
            measured[AGAIN].append(start(ours, [], path, picture))
        lines = list(table(measured))
    print("\n".join(lines))
    if options.keep:
        text = PAGE.read_text(encoding="utf-8")
        before, after = text.partition(_BEGIN)[0], text.partition(_END)[2]
        PAGE.write_text(f"{before}{_BEGIN}\n\n" + "\n".join(lines) + f"\n\n{_END}{after}", encoding="utf-8")


def start(command: list[str], arguments: list[str], path: str, picture: bytes) -> Start:
    """Start a side, ask it twice, leave it alone for a while, and end it."""
    port = free_port()
    # a peer's libraries were compiled when they were installed: ours are compiled once, too, not at each start
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("CONVSERVE_") and name != "PYTHONDONTWRITEBYTECODE"
    }
    with running([*command, str(port), *arguments], environment) as (process, began):
        ask(port, b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", process)
        alive = moment(process, began)
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: image/png\r\n"
        ask(port, head.encode() + f"Content-Length: {len(picture)}\r\n\r\n".encode() + picture, process)
        prediction = moment(process, began)
    with running([*command, str(port), *arguments], environment) as (process, began):
        ask(port, b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", process)
        time.sleep(_IDLE_SECONDS)
        idle = moment(process, began).resident
    return Start(alive, prediction, idle)


@contextmanager
def running(
    command: list[str], environment: dict[str, str]
) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    began = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603 - our own commands, no shell
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process, began
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def ask(port: int, request: bytes, process: subprocess.Popen[bytes]) -> None:
    """Send a request until it is answered by 200."""
    while True:
        if process.poll() is not None:
            raise SystemExit(f"{process.args} ended with status {process.returncode}")
        try:
            with socket.create_connection(("127.0.0.1", port), 60) as connection:
                connection.sendall(request)
                answer = connection.recv(4096)
        except ConnectionError:
            answer = b""
        if answer.split(b" ")[1:2] == [b"200"]:
            return
        if answer:
            raise SystemExit(answer.decode())
        time.sleep(0.005)


def moment(process: subprocess.Popen[bytes], began: float) -> Moment:
    clock = time.perf_counter() - began
    ticks = resident = 0
    for member in family(process.pid):
        place = Path(f"/proc/{member}")
        # behind the name, which may hold spaces
        fields = (place / "stat").read_text().rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:15]))
        resident += int((place / "statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    return Moment(clock, ticks / _TICKS, resident)


def family(process: int) -> list[int]:
    """Return a process and those that it has started."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [process, *(inner for child in children for inner in family(int(child)))]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def table(measured: dict[str, list[Start]]) -> Iterator[str]:
    yield "| | /livez: clock, s | processor, s | ratio | prediction: clock, s | processor, s | ratio | idle, MB |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|"
    for side, starts in measured.items():
        cells = [side]
        for part in ("alive", "prediction"):
            clock = [getattr(one, part).clock for one in starts]
            processor = [getattr(one, part).processor for one in starts]
            # within a round, so that a slow minute is in both
            ratios = [
                getattr(one, part).processor / getattr(peer, part).processor
                for one, peer in zip(starts, measured[PEER], strict=True)
            ]
            cells += [
                f"{statistics.median(clock):.2f}",
                f"{statistics.median(processor):.2f}",
                spread(ratios),
            ]
        cells.append(f"{statistics.median(one.idle for one in starts) / 1e6:.0f}")
        yield "| " + " | ".join(cells) + " |"


def spread(ratios: list[float]) -> str:
    low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    return f"{middle:.2f} ({low:.2f}-{high:.2f})"


def digit() -> bytes:
    """Return a picture as large as a digit, as a PNG file."""
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def write_lenet(path: Path) -> None:
    """Write a LeNet-5 with weights that were drawn, as ONNX."""
    draw = np.random.default_rng(0)
    shapes = {
        "w1": (6, 1, 5, 5),
        "b1": (6,),
        "w2": (16, 6, 5, 5),
        "b2": (16,),
        "w3": (256, 120),
        "b3": (120,),
        "w4": (120, 84),
        "b4": (84,),
        "w5": (84, 10),
        "b5": (10,),
    }
    pool = {"kernel_shape": [2, 2], "strides": [2, 2]}
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("MaxPool", ["r1"], ["p1"], **pool),
        helper.make_node("Conv", ["p1", "w2", "b2"], ["c2"]),
        helper.make_node("Relu", ["c2"], ["r2"]),
        helper.make_node("MaxPool", ["r2"], ["p2"], **pool),
        helper.make_node("Flatten", ["p2"], ["f"]),
        helper.make_node("Gemm", ["f", "w3", "b3"], ["d3"]),
        helper.make_node("Relu", ["d3"], ["r3"]),
        helper.make_node("Gemm", ["r3", "w4", "b4"], ["d4"]),
        helper.make_node("Relu", ["d4"], ["r4"]),
        helper.make_node("Gemm", ["r4", "w5", "b5"], ["d5"]),
        helper.make_node("Softmax", ["d5"], ["y"], axis=1),
    ]  # fmt: skip
    weights = [
        numpy_helper.from_array((0.1 * draw.standard_normal(shape)).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    graph = helper.make_graph(
        nodes,
        "lenet-5",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 28, 28])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 10])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, path)


if __name__ == "__main__":
    main()
