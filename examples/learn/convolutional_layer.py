"""The convolutional layer: filters, bias and an activation function."""

import httpx

from app.operations.examples import PICTURE, VERTICAL_EDGE
from examples.learn.service import run


def main(service: httpx.Client) -> dict[str, httpx.Response]:
    layer = {"filters": 1, "kernel_size": 3, "activation": "relu"}
    weights = {"weight": VERTICAL_EDGE, "bias": 1}
    body = {"input": PICTURE, "layer": layer, "weights": weights, "trace": {"positions": [[0, 0], [0, 3]]}}
    counted = {
        "input_shape": [28, 28, 3],
        "layers": [{"type": "conv2d", "filters": 8, "kernel_size": 5, "padding": 1, "stride": 2}],
    }
    return {
        "layer": service.post("/v1/operations/conv2d", json=body),
        "figure": service.post(
            "/v1/operations/conv2d",
            json=body | {"trace": {"positions": [[0, 3]]}},
            headers={"Accept": "image/svg+xml"},
        ),
        "counted": service.post("/v1/architectures/summary", json=counted),
    }


if __name__ == "__main__":
    run(main)
