"""Compare what augmentation costs with the training step that it feeds: `python -m benchmarks.augmentation`.

Each line of the table is a list of augmentations on one batch of 64; the last column is its share of a step, which
is timed as jobs run it: by plans, in two shares, with BLAS on one thread each (OPENBLAS_NUM_THREADS=1).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from benchmarks.pictures import Pictures
from benchmarks.sides import training_step
from engine.augmentations import AUGMENTATIONS, AnyAugmentation, Augmentation, Pipeline
from engine.inputs.feed import one_hot
from engine.layers import Context
from engine.presets import PRESETS
from engine.workspace import Workspace

BATCH = 64
REPEATS = 25
WARM_UP = 5

LISTS: dict[str, list[dict[str, Any]]] = {
    "random_crop, horizontal_flip": [{"type": "random_crop", "padding": 4}, {"type": "horizontal_flip"}],
    "random_crop, rotation": [{"type": "random_crop", "padding": 2}, {"type": "rotation", "degrees": 10}],
    "rotation, translation, scaling, shear": [
        {"type": "rotation", "degrees": 10},
        {"type": "translation", "share": 0.1},
        {"type": "scaling", "share": 0.1},
        {"type": "shear", "degrees": 10},
    ],
    "brightness, contrast, saturation, hue": [
        {"type": "brightness", "strength": 0.3},
        {"type": "contrast", "strength": 0.3},
        {"type": "saturation", "strength": 0.3},
        {"type": "hue", "degrees": 20},
    ],
    "gaussian_noise": [{"type": "gaussian_noise", "deviation": 0.05}],
    "random_crop, horizontal_flip, erasing, cutmix": [
        {"type": "random_crop", "padding": 4},
        {"type": "horizontal_flip"},
        {"type": "erasing"},
        {"type": "cutmix"},
    ],
    "one of each": [dict(kind.examples[0]) for kind in AUGMENTATIONS],
}


def main() -> None:
    print(f"milliseconds for a batch of {BATCH}, median of {REPEATS}\n")
    print("| network | augmentations | augmentation | training step | share of a step |")
    print("|---|---|---:|---:|---:|")
    for name in ("lenet-5", "vgg-small"):
        preset = next(preset for preset in PRESETS if preset.name == name)
        pictures = Pictures.noise(BATCH + 4, preset.input_shape)
        step = median(training_step(BATCH, name))
        for label, documents in LISTS.items():
            parts = [
                part
                for part in TypeAdapter(list[AnyAugmentation]).validate_python(documents)
                if part.channels in (None, preset.input_shape[2])
            ]
            if len(parts) < len(documents) and label != "one of each":
                continue
            spent = median(augmenting(parts, pictures))
            print(f"| {name} | {label} | {spent:.2f} | {step:.1f} | {spent / step:.0%} |", flush=True)


def augmenting(parts: Sequence[Augmentation], pictures: Pictures) -> Callable[[], object]:
    """Return the augmentation of a batch, in memory that is used again as in training."""
    pipeline = Pipeline(parts, 0)
    count = BATCH + pipeline.partners
    images, targets = pictures.images[:count], one_hot(pictures.labels[:count], 10)
    context = Context(node="input/augmentation", workspace=Workspace())
    return lambda: pipeline.apply(images, targets, np.arange(count), 1, context)


def median(work: Callable[[], object]) -> float:
    """Return the median time of some runs, in milliseconds, after a few to warm up."""
    times = []
    for _ in range(WARM_UP + REPEATS):
        since = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - since))
    return statistics.median(times[WARM_UP:])


if __name__ == "__main__":
    main()
