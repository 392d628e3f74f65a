"""Pooling: a window without weights makes maps smaller."""

from typing import Any

import httpx

from app.operations.examples import PICTURE, VOLUME
from examples.learn.service import run

AVERAGE, MAXIMUM = "/v1/operations/average_pool2d", "/v1/operations/max_pool2d"
SVG = {"Accept": "image/svg+xml"}


def main(service: httpx.Client) -> dict[str, httpx.Response]:
    pools: dict[str, Any] = {"input": PICTURE, "layer": {"pool_size": 2, "stride": 2}}
    trace = {"trace": {"positions": [[0, 1]]}}
    volume = {"input": VOLUME, "layer": {"pool_size": 2, "stride": 2}}
    return {
        "average": service.post(AVERAGE, json=pools | trace),
        "average_figure": service.post(AVERAGE, json=pools | trace, headers=SVG),
        "maximum": service.post(MAXIMUM, json=pools | trace),
        "maximum_figure": service.post(MAXIMUM, json=pools | trace, headers=SVG),
        "volume": service.post(MAXIMUM, json=volume),
    }


if __name__ == "__main__":
    run(main)
