"""With and without skip connections, at growing depth: `python -m examples.skip_connections`.

"When neural networks get very deep, the accuracy at the output becomes very stable and does not increase."
The same convolutions, weights and batches, once in residual blocks and once in a plain row.
He et al. 2016, Deep residual learning for image recognition, section 4.
"""

from __future__ import annotations

from typing import Any

from engine.training.loop import TrainingConfig
from examples.digits import digits, learn
from examples.figures import lines

BLOCKS = (1, 4, 8, 16)
FILTERS = 8
CONFIG = TrainingConfig.model_validate(
    {
        "epochs": 2,
        "batch_size": 32,
        "seed": 0,
        "optimizer": {"type": "sgd", "learning_rate": 0.02, "momentum": 0.9},
        "schedule": {"type": "cosine", "warm_up": 0.5},
    }
)


def layers(blocks: int, *, skip: bool) -> list[dict[str, Any]]:
    """Return a network of 2 * blocks convolutions on 7x7 maps, between one convolution and one dense layer."""
    convolution = {"type": "conv2d", "filters": FILTERS, "kernel_size": 3, "padding": "same", "bias": False}
    normalised = [convolution, {"type": "batch_norm"}]
    body = [*normalised, {"type": "relu"}, *normalised]
    block: list[dict[str, Any]] = [{"type": "residual", "layers": body, "activation": "relu"}]
    row = [*body, {"type": "relu"}]
    return [
        {**convolution, "kernel_size": 5, "stride": 4},
        {"type": "batch_norm", "activation": "relu"},
        *((block if skip else row) * blocks),
        {"type": "flatten"},
        {"type": "dense", "units": 10},
    ]


def main() -> None:
    data = digits(2000)
    curves: dict[str, list[tuple[float, float]]] = {"with skip connections": [], "without": []}
    print(
        "| convolutions | train loss with | train loss without | dev accuracy with | dev accuracy without |"
    )
    print("|---:|---:|---:|---:|---:|")
    for blocks in BLOCKS:
        ends = [learn(layers(blocks, skip=skip), data, CONFIG)[-1] for skip in (True, False)]
        depth = 2 * blocks + 1
        for curve, end in zip(curves.values(), ends, strict=True):
            curve.append((depth, end.train_loss))
        accuracies = " | ".join(f"{end.dev_accuracy:.1%}" for end in ends)
        print(f"| {depth} | {ends[0].train_loss:.3f} | {ends[1].train_loss:.3f} | {accuracies} |", flush=True)
    title = "Loss on the training digits after two epochs"
    file = lines("skip-connections", title, curves, "convolutions in a row", "train loss")
    print(f"\nwrote {file.name}")


if __name__ == "__main__":
    main()
