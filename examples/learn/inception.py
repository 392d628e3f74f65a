"""Inception: all kinds of layers side by side, and what that costs."""

from typing import Any

import httpx

from app.operations.examples import VOLUME
from examples.learn.service import run

FILTERS = {"filters_1x1": 64, "filters_3x3": 128, "filters_5x5": 32, "filters_pool": 32}


def main(service: httpx.Client) -> dict[str, httpx.Response]:
    def network(**reductions: int) -> dict[str, Any]:
        return {"input_shape": [28, 28, 192], "layers": [{"type": "inception"} | FILTERS | reductions]}

    small = {"filters_1x1": 1, "filters_3x3": 2, "filters_5x5": 1, "filters_pool": 1}
    return {
        "block": service.post("/v1/operations/inception", json={"input": VOLUME, "layer": small}),
        "without": service.post("/v1/architectures/summary", json=network()),
        "reduced": service.post("/v1/architectures/summary", json=network(reduce_3x3=96, reduce_5x5=16)),
        "diagram": service.post(
            "/v1/architectures/diagram",
            json=network(reduce_3x3=96, reduce_5x5=16),
            headers={"Accept": "image/svg+xml"},
        ),
    }


if __name__ == "__main__":
    run(main)
