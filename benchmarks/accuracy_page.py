"""The page and the figures of `make accuracy`, from the results of its runs."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.accuracy_intervals import half_width, interval
from benchmarks.page_sections import kept
from examples.figures import lines

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "accuracy.md"
TEST_PICTURES, TRAIN_PICTURES = 1017, 5085
FIRST_STEPS = 10

Results = Mapping[str, dict[str, Any]]


def write_page(
    results: Results, mnist: dict[str, Any], cifar: Mapping[str, dict[str, Any]], seeds: Sequence[int]
) -> float:
    """Write docs/accuracy.md and its figures; return the accuracy on MNIST."""
    lenet = results["lenet-5-ours-0"]
    curve = [(epoch, accuracy) for epoch, accuracy in enumerate(lenet["accuracies"], start=1)]
    lines(
        "accuracy-mnist",
        "LeNet-5 on MNIST",
        {"right answers on the 10,000 test digits": curve},
        "epoch",
        "accuracy",
    )
    reached = float(lenet["accuracies"][-1])
    half = 1.96 * math.sqrt(0.25 / TEST_PICTURES)
    text = (ROOT / "benchmarks" / "accuracy.md.in").read_text(encoding="utf-8")
    for mark, value in {
        "{mnist}": (
            f"LeNet-5 is right about **{reached:.2%}** of the 10,000 test digits after {len(curve)} epochs over all "
            f"60,000 training digits. The last epoch's weights are judged: nothing is chosen by the test digits."
        ),
        "{count}": f"{TRAIN_PICTURES:,}",
        "{test}": f"{TEST_PICTURES:,}",
        "{torch}": torch.__version__.partition("+")[0],
        "{numpy}": np.__version__,
        "{sampling}": f"{100 * half:.0f} percentage points",
        "{cifar}": "\n".join(_accuracy_table(results, cifar, seeds)),
        "{first}": "\n".join(_first_table(results, cifar, seeds)),
        "{figures}": "\n\n".join(_figures(results, cifar, seeds)),
        "{configurations}": "\n".join(
            f"    {name}: {json.dumps(document)}" for name, document in {"lenet-5": mnist, **cifar}.items()
        ),
    }.items():
        text = text.replace(mark, value)
    # made by another command, which leaves the rest of the page as it is
    PAGE.write_text(kept(PAGE.name, text), encoding="utf-8")
    return reached


def _accuracy_table(
    results: Results, cifar: Mapping[str, dict[str, Any]], seeds: Sequence[int]
) -> Iterator[str]:
    yield "| network | epochs | ours | PyTorch | difference | within the interval | in pictures, by seed |"
    yield "|---|---:|---:|---:|---:|---|---|"
    for name, document in cifar.items():
        own, other = (_last(results, name, side, seeds) for side in ("ours", "theirs"))
        differences = [one - two for one, two in zip(own, other, strict=True)]
        half = half_width(differences)
        inside = "yes" if abs(statistics.mean(differences)) <= half else "no"
        cells = [interval(runs) for runs in (own, other)]
        difference = f"{100 * statistics.mean(differences):+.1f} ± {100 * half:.1f} points"
        pictures = ", ".join(f"{TEST_PICTURES * one:+.0f}" for one in differences)
        yield f"| {name} | {document['epochs']} | {' | '.join(cells)} | {difference} | {inside} | {pictures} |"


def _first_table(
    results: Results, cifar: Mapping[str, dict[str, Any]], seeds: Sequence[int]
) -> Iterator[str]:
    yield (
        f"| network | seed | largest relative difference of the loss in the first {FIRST_STEPS} steps "
        "| steps until it exceeds 1 % |"
    )
    yield "|---|---:|---:|---:|"
    for name in cifar:
        for seed in seeds:
            own, other = (np.array(results[f"{name}-{side}-{seed}"]["losses"]) for side in ("ours", "theirs"))
            apart = np.abs(own - other) / np.abs(other)
            beyond = np.flatnonzero(apart > 0.01)
            steps = str(beyond[0]) if len(beyond) else f"more than {len(apart)}"
            yield f"| {name} | {seed} | {apart[:FIRST_STEPS].max():.0e} | {steps} |"


def _figures(results: Results, cifar: Mapping[str, dict[str, Any]], seeds: Sequence[int]) -> Iterator[str]:
    for name in cifar:
        seed = seeds[0]
        losses = {
            words: results[f"{name}-{side}-{seed}"]["losses"]
            for words, side in (("ours", "ours"), ("PyTorch", "theirs"))
        }
        steps = len(losses["ours"])
        window = max(steps // 60, 1)
        curves = {
            words: [
                (step + window / 2, statistics.mean(values[step : step + window]))
                for step in range(0, steps, window)
            ]
            for words, values in losses.items()
        }
        lines(
            f"accuracy-{name}-loss",
            f"{name}: loss of the training batches, seed {seed}",
            curves,
            "step",
            "loss",
        )
        start = {words: list(enumerate(values[:40], start=1)) for words, values in losses.items()}
        lines(f"accuracy-{name}-start", f"{name}: the first steps, seed {seed}", start, "step", "loss")
        shares, bands = {}, {}
        for words, side in (("ours", "ours"), ("PyTorch", "theirs")):
            epochs = list(
                zip(*(results[f"{name}-{side}-{seed}"]["accuracies"] for seed in seeds), strict=True)
            )
            means = [statistics.mean(epoch) for epoch in epochs]
            halves = [half_width(epoch) for epoch in epochs]
            shares[words] = list(enumerate(means, start=1))
            bands[words] = [
                (number, mean - half, mean + half)
                for number, (mean, half) in enumerate(zip(means, halves, strict=True), start=1)
            ]
        lowest = min(low for band in bands.values() for _, low, _ in band)
        highest = max(high for band in bands.values() for _, _, high in band)
        lines(
            f"accuracy-{name}",
            f"{name}: right answers on the test pictures, mean and interval of {len(seeds)} seeds",
            shares,
            "epoch",
            "accuracy",
            y_range=(max(lowest, 0), min(highest, 1)),
            bands=bands,
        )
        for ending, words in (("-start", "the first steps"), ("-loss", "the loss"), ("", "the accuracy")):
            yield f"![{name}: {words} on both sides](figures/accuracy-{name}{ending}.svg)"


def _last(results: Results, name: str, side: str, seeds: Sequence[int]) -> list[float]:
    return [results[f"{name}-{side}-{seed}"]["accuracies"][-1] for seed in seeds]
