"""The pooling layer: what it keeps, and what it costs."""

import httpx

from app.operations.examples import PICTURE
from examples.learn.service import run


def main(service: httpx.Client) -> dict[str, httpx.Response]:
    network = {
        "input_shape": [28, 28, 6],
        "layers": [
            {"type": "max_pool2d", "pool_size": 2, "stride": 2},
            {"type": "average_pool2d", "pool_size": 3, "stride": 2, "padding": 1},
            {"type": "global_average_pool2d"},
        ],
    }
    gradient = {
        "input": PICTURE,
        "layer": {"pool_size": 2, "stride": 2},
        "output_gradient": "ones",
    }
    return {
        "network": service.post("/v1/architectures/summary", json=network),
        "maximum": service.post("/v1/operations/max_pool2d", json=gradient),
        "average": service.post("/v1/operations/average_pool2d", json=gradient),
    }


if __name__ == "__main__":
    run(main)
