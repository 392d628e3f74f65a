"""Train to the end and compare with PyTorch; `make accuracy` runs it.

LeNet-5 learns all of MNIST. On a part of CIFAR-10 each network learns on both sides, from the same first weights,
in the same order, on the same augmented arrays; what is left is arithmetic. Each run is written to
build/accuracy as soon as it ends and is not repeated, so that this can be stopped; docs/accuracy.md and its figures
are made from what is there.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.accuracy_page import write_page
from benchmarks.accuracy_runs import Run, cifar, first, mnist, ours, theirs
from engine.graph.network import Network
from engine.inputs.feed import TrainingData
from engine.presets import PRESETS
from engine.recipe.config import TrainingConfig

ROOT = Path(__file__).resolve().parents[1]
SEEDS = (0, 1, 2, 3, 4)
SIDES = ("ours", "theirs")
LEAST_ON_MNIST = 0.99

MNIST: dict[str, Any] = {
    "epochs": 10,
    "batch_size": 32,
    "select": "last",
    "optimizer": {"type": "sgd", "learning_rate": 0.03, "nesterov": True, "weight_decay": 0.0005},
    "schedule": {"type": "cosine", "warm_up": 0.5},
    "augmentations": [{"type": "random_crop", "padding": 1}, {"type": "rotation", "degrees": 6}],
}
_CIFAR: dict[str, Any] = {
    "batch_size": 64,
    "select": "last",
    "schedule": {"type": "cosine", "warm_up": 1.0},
    "augmentations": [{"type": "random_crop", "padding": 4}, {"type": "horizontal_flip"}],
}
CIFAR: dict[str, dict[str, Any]] = {
    "vgg-small": {
        **_CIFAR,
        "epochs": 6,
        "optimizer": {"type": "sgd", "learning_rate": 0.02, "nesterov": True, "weight_decay": 0.0005},
    },
    "resnet-20": {
        **_CIFAR,
        "epochs": 4,
        "optimizer": {"type": "sgd", "learning_rate": 0.1, "weight_decay": 0.0001},
    },
}

Side = Callable[[Network, TrainingConfig, TrainingData], Run]


def main() -> int:
    parser = argparse.ArgumentParser(description="Train to the end and compare with PyTorch.")
    parser.add_argument(
        "--data", type=Path, required=True, help="directory with mnist/ and cifar10-small.npz"
    )
    parser.add_argument("--results", type=Path, default=ROOT / "build" / "accuracy")
    parser.add_argument("--only", nargs="+", choices=["lenet-5", *CIFAR], default=["lenet-5", *CIFAR])
    parser.add_argument(
        "--try", dest="pictures", type=int, help="so many pictures, one epoch; no page is written"
    )
    arguments = parser.parse_args()
    arguments.results.mkdir(parents=True, exist_ok=True)
    for name in arguments.only:
        if name == "lenet-5":
            _run(arguments, name, "ours", 0, MNIST, lambda: mnist(arguments.data / "mnist"))
            continue
        for seed in SEEDS:
            for side in SIDES:
                _run(
                    arguments,
                    name,
                    side,
                    seed,
                    CIFAR[name],
                    lambda: cifar(arguments.data / "cifar10-small.npz"),
                )
    wanted = {
        "lenet-5-ours-0",
        *(f"{name}-{side}-{seed}" for name in CIFAR for side in SIDES for seed in SEEDS),
    }
    results = {file.stem: json.loads(file.read_text()) for file in sorted(arguments.results.glob("*.json"))}
    if arguments.pictures or wanted - set(results):
        return 0
    reached = write_page(results, MNIST, CIFAR, SEEDS)
    if reached < LEAST_ON_MNIST:
        print(f"{reached:.2%} on MNIST; {LEAST_ON_MNIST:.1%} was expected", file=sys.stderr)
        return 1
    return 0


def _run(
    arguments: argparse.Namespace,
    name: str,
    side: str,
    seed: int,
    document: dict[str, Any],
    load: Callable[[], TrainingData],
) -> None:
    """Do one run, unless its result is there."""
    file = arguments.results / f"{name}-{side}-{seed}.json"
    if file.exists() and not arguments.pictures:
        return
    config = TrainingConfig.model_validate({**document, "seed": seed})
    data = load()
    if arguments.pictures:
        data, config = first(data, arguments.pictures), config.model_copy(update={"epochs": 1})
    preset = next(preset for preset in PRESETS if preset.name == name)
    network = Network.build(preset.architecture(data.image_shape, len(data.classes)))
    train: Side = ours if side == "ours" else theirs
    run = train(network, config, data)
    print(
        f"{name:10} {side:6} seed {seed}: test accuracy {run.accuracies[-1]:.2%}, {run.seconds:.0f} s, "
        f"first losses {' '.join(f'{loss:.5f}' for loss in run.losses[:4])}",
        flush=True,
    )
    if not arguments.pictures:
        file.write_text(json.dumps(run.document()), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
