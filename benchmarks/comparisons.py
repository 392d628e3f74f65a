"""The benchmarks: each yields its cases, which print a line when they are measured.

Two threads for every side: ours as two shares of a batch, as two parts of a large batch of predictions, or as one core
where the case says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.duel import Case, Side, judge, line_of, run, value
from benchmarks.transfer import transfer

Found = dict[str, Any]

PRESETS = ("lenet-5", "vgg-small", "resnet-20")
LARGE = ("resnet-18", "squeezenet-1.1", "mobilenet-v2")
HALVED = ("vgg-small", "resnet-20")
PICTURES = 64
"""Whose features are computed in one call."""
MODES = ("eager", "channels_last", "compile")
# pictures, height and width, channels, filters, kernel, stride, padding
LAYERS = {
    "lenet 1, 28x28x1, 6 of 5x5": (64, 28, 1, 6, 5, 1, 2),
    "lenet 2, 14x14x6, 16 of 5x5": (64, 14, 6, 16, 5, 1, 0),
    "32x32x3, 32 of 3x3": (64, 32, 3, 32, 3, 1, 1),
    "32x32x32, 32 of 3x3": (64, 32, 32, 32, 3, 1, 1),
    "16x16x64, 64 of 3x3": (64, 16, 64, 64, 3, 1, 1),
    "16x16x64, 128 of 3x3, stride 2": (64, 16, 64, 128, 3, 2, 1),
    "8x8x128, 128 of 3x3": (64, 8, 128, 128, 3, 1, 1),
    "14x14x256, 64 of 1x1": (64, 14, 256, 64, 1, 1, 0),
    "224x224x3, 64 of 7x7, stride 2": (8, 224, 3, 64, 7, 2, 3),
    "56x56x64, 64 of 3x3": (8, 56, 64, 64, 3, 1, 1),
}
# size, channels, depth and batch: one of them doubles from case to case
SCALES = {
    "batch": [((16, 32, 4), batch) for batch in (1, 4, 16, 64, 256)],
    "image size": [((size, 32, 4), 16) for size in (8, 16, 32, 64)],
    "channels": [((16, channels, 4), 16) for channels in (8, 16, 32, 64, 128)],
    "depth": [((16, 32, depth), 16) for depth in (2, 4, 8, 16)],
}
_EPOCH_STEPS = 40
_PRODUCT = 1024


def training_step(data: str) -> Iterator[Case]:
    """Yield training steps on 64 pictures against the best mode of PyTorch."""
    for preset in PRESETS:
        yield _compared(preset, _steps({"preset": preset, "batch": 64}))


def inference(data: str) -> Iterator[Case]:
    """Yield predictions against ONNX Runtime: a single picture on one core of ours and on two, more pictures on two.

    Last the features of many pictures, from bytes to the vectors that heads are trained on, as transfer jobs have them.
    """
    for preset in PRESETS:
        for batch in (1, 32):
            case = {"preset": preset, "batch": batch}
            theirs = Side("benchmarks.ort_sides", "inference", case, 2)
            sides = {"ours": Side("benchmarks.sides", "inference", case, 1), "onnxruntime": theirs}
            yield _compared(f"{preset}, batch {batch}", sides)
            if batch == 1 and preset in HALVED:
                halves = Side("benchmarks.sides", "halves", {"preset": preset}, 1)
                sides = {"ours": halves, "onnxruntime": theirs}
                yield _compared(f"{preset}, batch 1, two processes", sides)
    for size in (224, 96):
        case = {"size": size, "pictures": PICTURES}
        sides = {"ours": Side("benchmarks.features", "ours", case, 1)}
        for batch in (8, 32):
            given = {**case, "batch": batch}
            sides[f"onnxruntime by {batch}"] = Side("benchmarks.ort_sides", "features", given, 2)
        yield _compared(f"features of mobilenet-v2 at {size}x{size}, {PICTURES} pictures", sides)


def layers(data: str) -> Iterator[Case]:
    """Yield single convolutions on one core, forward and forward with backward, and how near sgemm they come."""
    for name, case in LAYERS.items():
        for backward in (False, True):
            label = f"{name}, {'forward and backward' if backward else 'forward'}"
            yield Case(label, partial(_layer, label, case, backward))


def _layer(label: str, case: tuple[int, ...], backward: bool, rounds: int) -> Found:
    given = {"case": list(case), "backward": backward}
    sides = {
        "ours": Side("benchmarks.sides", "layer", given, 1),
        "sgemm": Side("benchmarks.sides", "product", {"rows": _PRODUCT}, 1),
        **{
            mode: Side("benchmarks.torch_sides", "layer", {**given, "mode": mode}, 1)
            for mode in ("eager", "channels_last")
        },
    }
    timings = run(sides, rounds)
    sgemm = 2 * _PRODUCT**3 / timings.pop("sgemm").median
    found = judge(label, timings, quiet=True)
    operations = _operations(case) * (3 if backward else 1) / timings["ours"].median
    found["gflops"], found["share_of_sgemm"] = round(operations / 1e9, 1), round(operations / sgemm, 2)
    print(
        f"{line_of(found)}; {found['gflops']:.0f} GFLOP/s, {found['share_of_sgemm']:.0%} of sgemm", flush=True
    )
    return found


def scaling(data: str) -> Iterator[Case]:
    """Yield steps as one size grows, the largest with their memory, and networks for pictures of 224x224."""
    for name, cases in SCALES.items():
        for number, (grid, batch) in enumerate(cases):
            case = {"grid": list(grid), "batch": batch}
            words = {"batch": batch, "image size": grid[0], "channels": grid[1], "depth": grid[2]}
            memory = case if number == len(cases) - 1 else None
            yield _compared(f"{name} {words[name]}", _steps(case, ("channels_last",)), memory)
    for preset in LARGE:
        for batch in (1, 8):
            case = {"preset": preset, "batch": batch}
            sides = {
                "ours": Side("benchmarks.sides", "inference", case, 1),
                "channels_last": Side("benchmarks.torch_sides", "inference", case, 2),
                "onnxruntime": Side("benchmarks.ort_sides", "inference", case, 2),
            }
            yield _compared(f"{preset} at 224x224, inference, batch {batch}", sides)
            label = f"{preset} at 224x224, training step, batch {batch}"
            yield _compared(label, _steps(case, ("channels_last",)), case)


def epoch(data: str) -> Iterator[Case]:
    """Yield steps of an epoch of MNIST with everything that belongs to it against a DataLoader's loop."""
    if not (Path(data) / "mnist").is_dir():
        print(f"epoch: left out, there is no {data}/mnist (--data names the directory)")
        return
    loops = {"picture by picture": False, "whole batches": True}
    for words, together in loops.items():
        label = f"lenet-5 on MNIST, their augmentation {words}"
        yield Case(label, partial(_epoch, label, data, together))


def _epoch(label: str, data: str, together: bool, rounds: int) -> Found:
    case = {"data": data, "steps": _EPOCH_STEPS}
    theirs = Side("benchmarks.torch_sides", "epoch", {**case, "together": together}, 2)
    sides = {"ours": Side("benchmarks.sides", "epoch", case, 1), "DataLoader": theirs}
    found = judge(label, run(sides, rounds))
    pictures = 64 * _EPOCH_STEPS
    speeds = {name: 1e3 * pictures / time for name, time in found["milliseconds"].items()}
    found["images_per_second"] = {name: round(speed) for name, speed in speeds.items()}
    return found


BENCHMARKS: dict[str, Callable[[str], Iterator[Case]]] = {
    "training-step": training_step,
    "inference": inference,
    "layers": layers,
    "scaling": scaling,
    "epoch": epoch,
    "transfer": transfer,
}
"""Each yields its cases, given the directory with data sets."""


def _compared(name: str, sides: dict[str, Side], memory_of: Found | None = None) -> Case:
    """Return the case of some sides, on request with the megabytes that training steps take."""
    return Case(name, partial(_compare, name, sides, memory_of))


def _compare(name: str, sides: dict[str, Side], memory_of: Found | None, rounds: int) -> Found:
    found = judge(name, run(sides, rounds))
    return found if memory_of is None else found | {"megabytes": _memory(memory_of)}


def _steps(case: Found, modes: tuple[str, ...] = MODES) -> dict[str, Side]:
    theirs = {
        mode: Side("benchmarks.torch_sides", "training_step", {**case, "mode": mode}, 2) for mode in modes
    }
    return {"ours": Side("benchmarks.sides", "training_step", case, 1), **theirs}


def _memory(case: Found) -> dict[str, int]:
    """Return the megabytes that steps take on each side, each in a process of its own."""
    ours = value(Side("benchmarks.sides", "step_memory", case, 1))
    theirs = value(Side("benchmarks.torch_sides", "step_memory", {**case, "mode": "channels_last"}, 2))
    return {"ours": round(ours / 2**20), "channels_last": round(theirs / 2**20)}


def _operations(case: tuple[int, ...]) -> int:
    """Return the operations of a forward pass, a multiplication and an addition each counted."""
    pictures, size, channels, filters, kernel, stride, padding = case
    outputs = ((size + 2 * padding - kernel) // stride + 1) ** 2
    return 2 * pictures * outputs * kernel * kernel * channels * filters
