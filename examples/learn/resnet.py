"""Residual blocks: with the skip connection a block can do nothing, and gradients arrive."""

from typing import Any

import httpx

from app.operations.examples import PICTURE, VERTICAL_EDGE
from examples.learn.service import run

RESIDUAL = "/v1/operations/residual"
SAME = [{"type": "conv2d", "filters": 1, "kernel_size": 3, "padding": "same"}]


def step(*, skip: bool) -> dict[str, Any]:
    """Return a training step of a deep network."""
    convolution = {"type": "conv2d", "filters": 4, "kernel_size": 3, "padding": "same"}
    deep = [convolution | {"activation": "sigmoid"}]
    block = [{"type": "residual", "layers": deep}] if skip else deep
    return {
        "architecture": {
            "input_shape": [28, 28, 1],
            "layers": [
                convolution | {"stride": 4, "padding": 1},
                *block * 6,
                {"type": "flatten"},
                {"type": "dense", "units": 10},
            ],
        },
        "dataset": "digits",
        "indices": list(range(8)),
        "numeric_check": {"entries": 0},
    }


def wider(shortcut: str) -> dict[str, Any]:
    """Return a network of one block whose output has another shape than its input."""
    convolution = {"type": "conv2d", "filters": 2, "kernel_size": 3, "padding": "same", "stride": 2}
    return {
        "input_shape": [6, 6, 1],
        "layers": [{"type": "residual", "layers": [convolution], "shortcut": shortcut}],
    }


def main(service: httpx.Client) -> dict[str, httpx.Response]:
    off = {"layers": SAME}
    edge = {"body/conv2d_1/weight": VERTICAL_EDGE, "body/conv2d_1/bias": 0}
    zero = {"body/conv2d_1/weight": [[0] * 3] * 3, "body/conv2d_1/bias": 0}

    def block(layer: dict[str, Any], weights: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {"input": PICTURE, "layer": layer, "weights": weights} | more

    trace = {"positions": [[0, 3]]}
    return {
        "on": service.post(RESIDUAL, json=block(off, edge, trace=trace)),
        "figure": service.post(
            RESIDUAL, json=block(off, edge, trace=trace), headers={"Accept": "image/svg+xml"}
        ),
        "identity": service.post(RESIDUAL, json=block(off | {"activation": "relu"}, zero)),
        "learned": service.post("/v1/architectures/summary", json=wider("projection")),
        "fixed": service.post("/v1/architectures/summary", json=wider("fixed_projection")),
        "plain_step": service.post("/v1/training-steps", json=step(skip=False)),
        "skip_step": service.post("/v1/training-steps", json=step(skip=True)),
    }


if __name__ == "__main__":
    run(main)
