"""Learn from few pictures, from scratch and by transfer, over HTTP; `make accuracy-transfer` runs it.

Of a part of CIFAR-10 some pictures of each class are drawn, and a job learns from them: all weights of a preset, or a
new head on what MobileNetV2 has learned on ImageNet. Each run is written to benchmarks/recorded as soon as it ends and
is not repeated, so that this can be stopped; the section of docs/accuracy.md is made from what is there.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from app.client import Client
from benchmarks.accuracy_intervals import interval
from benchmarks.page_sections import put
from benchmarks.recorded_runs import FOLDER, RecordedRuns
from benchmarks.service import finish, service, upload

SEEDS = (0, 1, 2)
COUNTS = (10, 50, 200)
DEV_SHARE = 0.2
TRANSFER_SIDE = 96
"""Pixels to which pictures of 32 are scaled for a network that has learned from 224."""
EPOCHS = {10: 60, 50: 50, 200: 30}
"""From scratch; by transfer they are the service's choice."""
SCRATCH: dict[str, Any] = {
    "architecture": {"preset": "vgg-small"},
    "batch_size": 32,
    "optimizer": {"type": "adam", "learning_rate": 0.001},
    "schedule": {"type": "cosine", "warm_up": 1.0},
    "augmentations": [{"type": "random_crop", "padding": 4}, {"type": "horizontal_flip"}],
}
TRANSFER: dict[str, Any] = {"initial_weights": "mobilenet-v2-imagenet"}
WAYS = {"transfer": TRANSFER, "scratch": SCRATCH}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy_transfer", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="directory with cifar10-small.npz")
    parser.add_argument("--results", type=Path, default=FOLDER / "accuracy-transfer.json")
    parser.add_argument("--only", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--seeds", nargs="+", type=int, choices=SEEDS, default=SEEDS)
    parser.add_argument("--counts", nargs="+", type=int, choices=COUNTS, default=COUNTS)
    options = parser.parse_args()
    runs = RecordedRuns(options.results)
    wanted = [
        (way, count, seed)
        for way in options.only
        for seed in options.seeds
        for count in options.counts
        if not runs.has(way, count, seed)
    ]
    if wanted:
        with tempfile.TemporaryDirectory() as name, service(Path(name) / "data") as (client, processor):
            for way, count, seed in wanted:
                npz = Path(name) / "pictures.npz"
                draw(options.data / "cifar10-small.npz", npz, count, seed)
                worked = processor()
                run = learn(client, way, npz, count, seed)
                run["processor"] = round(processor() - worked, 1)
                print(way, count, seed, run, flush=True)
                runs.add(way, count, seed, run)
    put("accuracy.md", "transfer", _table(runs))


def draw(source: Path, target: Path, count: int, seed: int) -> None:
    """Write so many pictures of each class, a fifth of them to choose an epoch by, and all that judge."""
    rng = np.random.default_rng(seed)
    with np.load(source) as arrays:
        images, labels = arrays["x_train"], arrays["y_train"].reshape(-1)
        judging, truth = arrays["x_test"], arrays["y_test"].reshape(-1)
    dev = round(DEV_SHARE * count)
    chosen = np.concatenate(
        [rng.permutation(np.flatnonzero(labels == label))[:count] for label in np.unique(labels)]
    )
    split = np.tile(np.where(np.arange(count) < dev, 1, 0), len(chosen) // count)
    np.savez(
        target,
        images=np.concatenate([images[chosen], judging]),
        labels=np.concatenate([labels[chosen], truth]),
        split=np.concatenate([split, np.full(len(truth), 2)]),
    )


def learn(client: Client, way: str, npz: Path, count: int, seed: int) -> dict[str, Any]:
    """Upload pictures, train, and return the share of test pictures that the model is right about, and the time."""
    size = {"image_size": TRANSFER_SIDE} if way == "transfer" else {}
    # all pictures have their places; some may be in the file twice
    dataset = upload(client, npz, name=f"{way}-{count}-{seed}", duplicates="keep", **size)
    given = WAYS[way] | {"dataset": dataset, "seed": seed}
    if way == "scratch":
        given["epochs"] = EPOCHS[count]
    began = time.perf_counter()
    job = client.training_jobs.create(**given)
    model = client.models.get(finish(client, job.id))
    seconds = time.perf_counter() - began
    return {
        "accuracy": (model.metrics or {})["test_accuracy"],
        "seconds": round(seconds, 1),
        "epochs": job.epochs,
        "test": client.datasets.get(dataset).splits.test,
    }


def _table(recorded: RecordedRuns) -> Iterator[str]:
    yield (
        "| pictures a class | from scratch | epochs | processor, s | by transfer | epochs | processor, s | seeds |"
    )
    yield "|---:|---:|---:|---:|---:|---:|---:|---:|"
    for count in COUNTS:
        cells, seeds = [], []
        for way in ("scratch", "transfer"):
            runs = recorded.of(way, count)
            seeds.append(str(len(runs)))
            if not runs:
                cells += ["", "", ""]
                continue
            spent = sum(run["processor"] for run in runs) / len(runs)
            cells += [interval([run["accuracy"] for run in runs]), str(runs[0]["epochs"]), f"{spent:.0f}"]
        cells.append(seeds[0] if len(set(seeds)) == 1 else " and ".join(seeds))
        yield f"| {count} | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    sys.exit(main())
