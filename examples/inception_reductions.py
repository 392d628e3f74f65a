"""Inception with and without its 1x1 reductions: `python -m examples.inception_reductions`.

"The inception layer raises the problem of computational cost"; a 1x1 convolution that takes channels out before
the large filters solves it. The cost is that of the summary: nothing has to be run to know it.
Szegedy et al. 2014, Going deeper with convolutions, section 4 and table 1.
"""

from __future__ import annotations

import time
from typing import Any

from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.graph.summary import summarize
from engine.training.loop import TrainingConfig
from examples.digits import digits, learn
from examples.figures import bars

# name in table 1: input shape, then the filters of each branch
PUBLISHED: dict[str, tuple[tuple[int, int, int], dict[str, int]]] = {
    "3a": (
        (28, 28, 192),
        {
            "filters_1x1": 64,
            "reduce_3x3": 96,
            "filters_3x3": 128,
            "reduce_5x5": 16,
            "filters_5x5": 32,
            "filters_pool": 32,
        },
    ),
    "4a": (
        (14, 14, 480),
        {
            "filters_1x1": 192,
            "reduce_3x3": 96,
            "filters_3x3": 208,
            "reduce_5x5": 16,
            "filters_5x5": 48,
            "filters_pool": 64,
        },
    ),
    "5b": (
        (7, 7, 832),
        {
            "filters_1x1": 384,
            "reduce_3x3": 192,
            "filters_3x3": 384,
            "reduce_5x5": 48,
            "filters_5x5": 128,
            "filters_pool": 128,
        },
    ),
}

SMALL = {
    "filters_1x1": 8,
    "reduce_3x3": 8,
    "filters_3x3": 16,
    "reduce_5x5": 4,
    "filters_5x5": 8,
    "filters_pool": 8,
}
CONFIG = TrainingConfig(epochs=3, batch_size=64, seed=0)


def inception(filters: dict[str, int], *, reduced: bool) -> dict[str, Any]:
    """Return the block, with its reductions or without."""
    kept = {name: count for name, count in filters.items() if reduced or not name.startswith("reduce")}
    return {"type": "inception", **kept}


def costs(shape: tuple[int, int, int], filters: dict[str, int], *, reduced: bool) -> tuple[int, int]:
    """Return multiply-adds and parameters of a block on a map of this shape."""
    layers = [inception(filters, reduced=reduced)]
    totals = summarize(
        Network.build(Architecture.model_validate({"input_shape": shape, "layers": layers}))
    ).totals
    return totals.multiply_adds, totals.parameters


def layers(*, reduced: bool) -> list[dict[str, Any]]:
    """Return a small network for digits with two inception blocks."""
    return [
        {
            "type": "conv2d",
            "filters": 16,
            "kernel_size": 5,
            "stride": 2,
            "padding": "same",
            "activation": "relu",
        },
        {"type": "max_pool2d"},
        inception(SMALL, reduced=reduced),
        inception(SMALL, reduced=reduced),
        {"type": "flatten"},
        {"type": "dense", "units": 10},
    ]


def main() -> None:
    heights: dict[str, dict[str, float]] = {}
    print("| block | on | multiply-adds with | without | parameters with | without |")
    print("|---|---|---:|---:|---:|---:|")
    for name, (shape, filters) in PUBLISHED.items():
        (work, weights), (free_work, free_weights) = (
            costs(shape, filters, reduced=reduced) for reduced in (True, False)
        )
        heights[name] = {"with reductions": work, "without": free_work}
        size = "x".join(map(str, shape))
        print(f"| {name} | {size} | {work:,} | {free_work:,} | {weights:,} | {free_weights:,} |")
    data = digits(4000)
    print("\n| digits, three epochs | multiply-adds | parameters | seconds | dev accuracy |")
    print("|---|---:|---:|---:|---:|")
    for words, reduced in (("with reductions", True), ("without", False)):
        document = {"input_shape": data.image_shape, "layers": layers(reduced=reduced)}
        totals = summarize(Network.build(Architecture.model_validate(document))).totals
        since = time.process_time()
        end = learn(layers(reduced=reduced), data, CONFIG)[-1]
        seconds = time.process_time() - since
        print(
            f"| {words} | {totals.multiply_adds:,} | {totals.parameters:,} | {seconds:.1f} | {end.dev_accuracy:.1%} |",
            flush=True,
        )
    file = bars(
        "inception-reductions", "Multiply-adds of GoogLeNet's blocks", heights, "multiply-adds per picture"
    )
    print(f"\nwrote {file.name}")


if __name__ == "__main__":
    main()
