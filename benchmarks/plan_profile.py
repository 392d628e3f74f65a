"""`python -m benchmarks.plan_profile mobilenet-v2`: where the time of a prediction goes, by kinds of NumPy calls.

Each call of a plan is timed by itself, in many passes, by the time of the processor, and its fastest counts: other
programs that run beside add little to it. Beside each kind stands what this machine gives at most: of products the
fastest of a few shapes, of the others the rate on numbers in the caches of a core. ONNX Runtime computes the same
network in passes between ours, on one thread as well. OPENBLAS_CORETYPE=Haswell shows what products take by the kernels
for a processor without AVX-512. With `--threads 2` one picture is timed by two threads and by two processes as well, by
the clock.
"""

from __future__ import annotations

import argparse
import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read by NumPy when it loads

import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.machine import processor
from benchmarks.sides import network
from engine.arrays import Array, Weights
from engine.environment import blas_kernels
from engine.fast.kernels.fold import fold
from engine.fast.layout.gemm import Tuning
from engine.fast.layout.places import Call
from engine.fast.plan import Plan
from engine.fast.serving.cut import cut
from engine.fast.serving.halves import Halves
from engine.fast.serving.pair import Pair
from engine.graph.network import Network
from engine.model.onnx_format.write import export_network

KINDS = {
    "matmul": "products",
    "einsum": "depthwise",
    "add": "additions",
    "clip": "activations",
    "maximum": "activations",
    "copyto": "copies and zeros",
    "fill": "copies and zeros",
}
PRODUCTS = ((1024, 1024, 1024), (784, 192, 32), (196, 96, 576), (28, 384, 64))


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plan_profile", description=__doc__)
    parser.add_argument("preset")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--passes", type=int, default=30)
    parser.add_argument(
        "--threads", type=int, choices=(1, 2), default=1, help="2: by two threads and processes as well"
    )
    given = parser.parse_args()
    built = network(given.preset, given.size)
    weights = built.initial_weights(0)
    x = np.random.default_rng(0).standard_normal((given.batch, *built.input_shape), dtype=np.float32)
    folded, own = fold(built, weights)
    plan = Plan(folded, given.batch, Tuning.measure(), training=False)
    plan.prepare(own)
    theirs = runtime(built, weights, x)
    whole, other = [], []
    calls = [1e9] * len(plan.calls)
    for _ in range(given.passes):
        whole.append(fastest(partial(plan.scores, x), 2))
        calls = [min(known, fastest(call, 1)) for known, call in zip(calls, plan.calls, strict=True)]
        other.append(fastest(theirs, 2))
    print(
        f"{given.preset}, {given.batch} of {given.size}x{given.size}, one thread: {processor()}, {blas_kernels()}\n"
    )
    print(table(plan, calls, min(whole)))
    print(f"\nONNX Runtime: {1e3 * min(other):.2f} ms; ours takes {min(whole) / min(other):.2f} of its time")
    print(f"The plan holds {plan.bytes / 1e6:.0f} MB")
    if given.threads > 1:
        print("\n" + by_two(folded, own, x[:1], given.passes))


def by_two(folded: Network, own: Weights, x: Array, passes: int) -> str:
    """Return what a picture takes by one thread, by two, and by two processes, in Markdown: by the clock, in turns.

    It says something where the other core is idle.
    """
    found, tuning = cut(folded), Tuning.measure()
    if found is None:
        return "The network cannot be cut for two."
    plan = Plan(folded, 1, tuning, training=False)
    plan.prepare(own)
    pair, halves = Pair(found, own, tuning), Halves(found, own, tuning)
    while not halves.ready:
        time.sleep(0.01)
    scores = np.empty((1, *folded.output_shape), np.float32)
    with ThreadPoolExecutor(1) as executor:
        sides: dict[str, Callable[[], object]] = {
            "one thread": partial(plan.scores, x),
            "two threads": partial(pair.scores, x, scores, executor),
            "two processes": partial(halves.scores, x),
        }
        taken = dict.fromkeys(sides, np.inf)
        for _ in range(20 * passes):
            for side, run in sides.items():
                start = time.perf_counter()
                # a pair tells whether there was a thread for it
                if run() is not False:
                    taken[side] = min(taken[side], time.perf_counter() - start)
    halves.close()
    rows = [
        f"| {side} | {1e3 * least:.2f} | {least / taken['one thread']:.2f} |" for side, least in taken.items()
    ]
    return "| one picture | ms by the clock | of one thread's |\n|---|---:|---:|\n" + "\n".join(rows)


def table(plan: Plan, seconds: list[float], whole: float) -> str:
    """Return kinds of calls with their time, in Markdown."""
    spent, counts, work = (
        defaultdict[str, float](float),
        defaultdict[str, int](int),
        defaultdict[str, float](float),
    )
    for call, taken in zip(plan.calls, seconds, strict=True):
        kind = KINDS.get(name(call), "anything else")
        spent[kind] += taken
        counts[kind] += 1
        work[kind] += numbers(call)
    most = limits()
    rows = [
        f"| {kind} | {counts[kind]} | {1e3 * spent[kind]:.2f} | {100 * spent[kind] / whole:.0f}% "
        f"| {rate(work[kind] / spent[kind])} | {rate(most.get(kind))} |"
        for kind in dict.fromkeys((*KINDS.values(), "anything else"))
        if counts[kind]
    ]
    between = whole - sum(spent.values())
    rows.append(f"| between the calls | | {1e3 * between:.2f} | {100 * between / whole:.0f}% | | |")
    rows.append(f"| all | {len(seconds)} | {1e3 * whole:.2f} | | | |")
    head = "| kind | calls | ms | share | billions a second | at most |\n|---|---:|---:|---:|---:|---:|\n"
    return head + "\n".join(rows)


def rate(a_second: float | None) -> str:
    """Return it in billions, or nothing where there is none."""
    return f"{a_second / 1e9:.1f}" if a_second else ""


def name(call: Any) -> str:
    """Return what NumPy calls the function."""
    return str(getattr(getattr(call, "func", call), "__name__", ""))


def numbers(call: Any) -> float:
    """Return how many numbers a call writes, or multiplications of a product or a depthwise convolution."""
    given = getattr(call, "args", ())
    if name(call) == "matmul":
        return float(call.keywords["out"].size * given[0].shape[-1])
    if name(call) == "einsum":
        return float(given[1].size)
    return float(given[0].size) if given and hasattr(given[0], "size") else 0.0


def limits() -> dict[str, float]:
    """Return the most that this machine gives of each kind, a second."""
    draw = np.random.default_rng(0)
    products = []
    for rows, depth, columns in PRODUCTS:
        a, b = draw.random((rows, depth), np.float32), draw.random((depth, columns), np.float32)
        products.append(a.size * columns / fastest(partial(np.matmul, a, b, out=a @ b), 30))
    x, taps = draw.random((9, 16, 2048), np.float32), draw.random((9, 2048), np.float32)
    convolve = partial(np.einsum, "trn,tn->rn", x, taps, out=x[0].copy())
    run = draw.random(1 << 16, np.float32)
    return {
        "products": max(products),
        "depthwise": x.size / fastest(convolve, 60),
        "additions": run.size / fastest(partial(np.add, run, run, out=run.copy()), 60),
        "activations": run.size
        / fastest(partial(np.clip, run, np.float32(0), np.float32(6), out=run.copy()), 60),
        "copies and zeros": run.size / fastest(partial(np.copyto, run.copy(), run), 60),
    }


def runtime(built: Network, weights: dict[str, Any], x: Any) -> Callable[[], object]:
    """Return what computes the same by ONNX Runtime, with its kernels on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    file = b"".join(export_network(built, weights).pieces())
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    given = {session.get_inputs()[0].name: np.ascontiguousarray(x.transpose(0, 3, 1, 2))}
    return partial(session.run, None, given)


def fastest(call: Call, times: int) -> float:
    """Return the seconds of the fastest of some calls."""
    taken = []
    for _ in range(times):
        start = time.thread_time()
        call()
        taken.append(time.thread_time() - start)
    return min(taken)


if __name__ == "__main__":
    main()
