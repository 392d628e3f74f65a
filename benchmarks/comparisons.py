"""The benchmarks: each prints a line per case as soon as it is measured, and yields what it found.

Two threads for every side: ours as two shares of a batch, as two parts of a large batch of predictions, or as one core
where the case says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.duel import Side, judge, line_of, run, value
from benchmarks.transfer import transfer

Found = dict[str, Any]

PRESETS = ("lenet-5", "vgg-small", "resnet-20")
LARGE = ("resnet-18", "squeezenet-1.1", "mobilenet-v2")
HALVED = ("vgg-small", "resnet-20")
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


def training_step(rounds: int, data: str) -> Iterator[Found]:
    """Time a training step on 64 pictures against the best mode of PyTorch."""
    for preset in PRESETS:
        case = {"preset": preset, "batch": 64}
        yield _compare(preset, _steps(case), rounds)


def inference(rounds: int, data: str) -> Iterator[Found]:
    """Time predictions against ONNX Runtime: a single picture on one core of ours and on two, 32 on two."""
    for preset in PRESETS:
        for batch in (1, 32):
            case = {"preset": preset, "batch": batch}
            theirs = Side("benchmarks.ort_sides", "inference", case, 2)
            sides = {"ours": Side("benchmarks.sides", "inference", case, 1), "onnxruntime": theirs}
            yield _compare(f"{preset}, batch {batch}", sides, rounds)
            if batch == 1 and preset in HALVED:
                halves = Side("benchmarks.sides", "halves", {"preset": preset}, 1)
                sides = {"ours": halves, "onnxruntime": theirs}
                yield _compare(f"{preset}, batch 1, two processes", sides, rounds)


def layers(rounds: int, data: str) -> Iterator[Found]:
    """Time single convolutions on one core, forward and forward with backward, and say how near sgemm they come."""
    for name, case in LAYERS.items():
        for backward in (False, True):
            given = {"case": list(case), "backward": backward}
            sides = {
                "ours": Side("benchmarks.sides", "layer", given, 1),
                "sgemm": Side("benchmarks.sides", "product", {"rows": _PRODUCT}, 1),
                **{
                    mode: Side("benchmarks.torch_sides", "layer", {**given, "mode": mode}, 1)
                    for mode in ("eager", "channels_last")
                },
            }
            label = f"{name}, {'forward and backward' if backward else 'forward'}"
            timings = run(sides, rounds)
            sgemm = 2 * _PRODUCT**3 / timings.pop("sgemm").median
            found = judge(label, timings, quiet=True)
            operations = _operations(case) * (3 if backward else 1) / timings["ours"].median
            found["gflops"], found["share_of_sgemm"] = (
                round(operations / 1e9, 1),
                round(operations / sgemm, 2),
            )
            print(
                f"{line_of(found)}; {found['gflops']:.0f} GFLOP/s, {found['share_of_sgemm']:.0%} of sgemm",
                flush=True,
            )
            yield found


def scaling(rounds: int, data: str) -> Iterator[Found]:
    """Time steps as one size grows, weigh their memory, and take networks for pictures of 224x224."""
    for name, cases in SCALES.items():
        for number, (grid, batch) in enumerate(cases):
            case = {"grid": list(grid), "batch": batch}
            words = {"batch": batch, "image size": grid[0], "channels": grid[1], "depth": grid[2]}
            found = _compare(f"{name} {words[name]}", _steps(case, ("channels_last",)), rounds)
            if number == len(cases) - 1:
                found["megabytes"] = _memory(case)
            yield found
    for preset in LARGE:
        for batch in (1, 8):
            case = {"preset": preset, "batch": batch}
            sides = {
                "ours": Side("benchmarks.sides", "inference", case, 1),
                "channels_last": Side("benchmarks.torch_sides", "inference", case, 2),
                "onnxruntime": Side("benchmarks.ort_sides", "inference", case, 2),
            }
            yield _compare(f"{preset} at 224x224, inference, batch {batch}", sides, rounds)
            found = _compare(
                f"{preset} at 224x224, training step, batch {batch}", _steps(case, ("channels_last",)), rounds
            )
            found["megabytes"] = _memory(case)
            yield found


def epoch(rounds: int, data: str) -> Iterator[Found]:
    """Time steps of an epoch of MNIST with everything that belongs to it against a DataLoader's loop."""
    case = {"data": data, "steps": _EPOCH_STEPS}
    loops = {"picture by picture": False, "whole batches": True}
    for words, together in loops.items():
        theirs = Side("benchmarks.torch_sides", "epoch", {**case, "together": together}, 2)
        sides = {"ours": Side("benchmarks.sides", "epoch", case, 1), "DataLoader": theirs}
        found = _compare(f"lenet-5 on MNIST, their augmentation {words}", sides, rounds)
        pictures = 64 * _EPOCH_STEPS
        speeds = {name: 1e3 * pictures / time for name, time in found["milliseconds"].items()}
        found["images_per_second"] = {name: round(speed) for name, speed in speeds.items()}
        yield found


BENCHMARKS = {
    "training-step": training_step,
    "inference": inference,
    "layers": layers,
    "scaling": scaling,
    "epoch": epoch,
    "transfer": transfer,
}


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


def _compare(name: str, sides: dict[str, Side], rounds: int) -> Found:
    return judge(name, run(sides, rounds))


def _operations(case: tuple[int, ...]) -> int:
    """Return the operations of a forward pass, a multiplication and an addition each counted."""
    pictures, size, channels, filters, kernel, stride, padding = case
    outputs = ((size + 2 * padding - kernel) // stride + 1) ** 2
    return 2 * pictures * outputs * kernel * kernel * channels * filters
