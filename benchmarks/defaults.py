"""Measure what the thresholds of app/jobs/accept/rules.py rest on, over HTTP: `python -m benchmarks.defaults`.

Each question is a list of ways to learn from some pictures of each class of CIFAR-10; the same drawn pictures for all
ways of a seed. Each run is written to benchmarks/recorded as soon as it ends and is not repeated; the tables in
docs/accuracy.md are made from what is there.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.jobs.accept import rules
from benchmarks.accuracy_intervals import interval
from benchmarks.accuracy_transfer import draw
from benchmarks.page_sections import put
from benchmarks.recorded_runs import FOLDER, RecordedRuns
from benchmarks.service import finish, service, upload

CLASSES = 10
TRANSFER: dict[str, Any] = {"initial_weights": "mobilenet-v2-imagenet"}
SCRATCH: dict[str, Any] = {"architecture": {"preset": "resnet-20"}, "defaults": "auto"}
STEPS = (125, 250, 500, 1000, 2000)
SIZE, SIDE = 32, 96


class Way:
    """A job for drawn pictures, at some size of picture."""

    def __init__(self, words: str, side: int, body: dict[str, Any]) -> None:
        self.words, self.side, self.body = words, side, body


WAYS = {
    "scratch": Way("resnet-20 from scratch, 32x32", SIZE, SCRATCH),
    "small": Way("head on 32x32", SIZE, TRANSFER),
    "head": Way("head on 96x96", SIDE, TRANSFER),
    "late": Way("from inverted_residual_15 on", SIDE, TRANSFER | {"train": {"from": "inverted_residual_15"}}),
    "middle": Way(
        "from inverted_residual_11 on", SIDE, TRANSFER | {"train": {"from": "inverted_residual_11"}}
    ),
    "all": Way("all", SIDE, TRANSFER | {"train": "all"}),
    **{f"steps-{steps}": Way(f"{steps:,} steps", SIDE, TRANSFER) for steps in STEPS},
}
QUESTIONS: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = {
    "scratch": (("scratch", "small", "head"), (25, 50, 100, 200, 400)),
    "train": (("head", "late", "middle", "all"), (10, 50)),
    "steps": (tuple(f"steps-{steps}" for steps in STEPS), (10, 50, 200)),
}
"""The ways that are compared, and from how many pictures a class."""
SEEDS = (0, 1, 2)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.defaults", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="directory with cifar10-small.npz")
    parser.add_argument("--results", type=Path, default=FOLDER / "defaults.json")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--counts", nargs="+", type=int)
    parser.add_argument("--seeds", nargs="+", type=int, choices=SEEDS, default=SEEDS)
    options = parser.parse_args()
    runs = RecordedRuns(options.results)
    wanted = [
        (way, count, seed)
        for seed in options.seeds
        for count, way in _asked()
        if way in options.ways and count in (options.counts or (count,)) and not runs.has(way, count, seed)
    ]
    with tempfile.TemporaryDirectory() as name, service(Path(name) / "data") as (client, processor):
        datasets: dict[tuple[int, int, int], str] = {}
        for way, count, seed in wanted:
            drawn = (count, seed, WAYS[way].side)
            if drawn not in datasets:
                npz = Path(name) / "pictures.npz"
                draw(options.data / "cifar10-small.npz", npz, count, seed)
                datasets[drawn] = upload(
                    client, npz, name="-".join(map(str, drawn)), duplicates="keep", image_size=WAYS[way].side
                )
            worked = processor()
            asked = WAYS[way].body | _epochs(way, count) | {"dataset": datasets[drawn], "seed": seed}
            job = client.training_jobs.create(**asked)
            model = client.models.get(finish(client, job.id))
            run = {
                "accuracy": (model.metrics or {})["test_accuracy"],
                "epochs": job.epochs,
                "batch_size": job.batch_size,
                "processor": round(processor() - worked, 1),
            }
            print(way, count, seed, run, flush=True)
            runs.add(way, count, seed, run)
    put("accuracy.md", "defaults", _tables(runs))


def _asked() -> list[tuple[int, str]]:
    """Return all (pictures a class, way), those first that take the least."""
    found = {(count, way) for ways, counts in QUESTIONS.values() for way in ways for count in counts}
    return sorted(found, key=lambda one: (one[1] == "scratch", one[1] == "all", one[0], one[1]))


def _epochs(way: str, count: int) -> dict[str, int]:
    """Return the epochs that make the steps of a way, where it has some."""
    if not way.startswith("steps-"):
        return {}
    pictures = CLASSES * count * 4 // 5
    size, _ = rules.batch_size(pictures, rules.HEAD_BATCHES_PER_EPOCH, rules.HEAD_BATCHES)
    return {"epochs": -(-int(way.removeprefix("steps-")) // -(-pictures // size)), "batch_size": size}


def _tables(recorded: RecordedRuns) -> Iterator[str]:
    for number, (ways, counts) in enumerate(QUESTIONS.values()):
        if number:
            yield ""
        yield "| pictures a class | " + " | ".join(WAYS[way].words for way in ways) + " |"
        yield "|---:|" + "---:|" * len(ways)
        for count in counts:
            yield f"| {count} | " + " | ".join(_cell(recorded, way, count) for way in ways) + " |"


def _cell(recorded: RecordedRuns, way: str, count: int) -> str:
    runs = recorded.of(way, count)
    if not runs:
        return ""
    spent = sum(run["processor"] for run in runs) / len(runs)
    return f"{interval([run['accuracy'] for run in runs])} ({len(runs)}; {spent:.0f} s)"


if __name__ == "__main__":
    sys.exit(main())
