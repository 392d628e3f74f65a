"""Convolution over volumes: several channels under several filters."""

import httpx

from app.operations.examples import VERTICAL_EDGE, VOLUME
from examples.learn.service import run

CONV = "/v1/operations/conv2d"
A = [[10, 10, 10, 0, 0, 0]] * 6
RED = [[[number, 0, 0] for number in row] for row in VERTICAL_EDGE]
ALL = [[[number] * 3 for number in row] for row in VERTICAL_EDGE]
FILTERS = [
    [
        [list(pair) for pair in zip(red, every, strict=True)]
        for red, every in zip(RED[row], ALL[row], strict=True)
    ]
    for row in range(3)
]
SVG = {"Accept": "image/svg+xml"}


def main(service: httpx.Client) -> dict[str, httpx.Response]:
    layer = {"filters": 2, "kernel_size": 3}
    weights = {"weight": FILTERS, "bias": [0, 0]}
    trace = {"trace": {"positions": [[0, 1, 0]]}}
    body = {"input": VOLUME, "layer": layer, "weights": weights} | trace
    one_by_one = {
        "input": VOLUME,
        "layer": {"filters": 1, "kernel_size": 1},
        "weights": {"weight": [[[[0.5], [0.5], [0]]]], "bias": [0]},
    }
    return {
        "volume": service.post(CONV, json=body),
        "figure": service.post(CONV, json=body, headers=SVG),
        "same": service.post(CONV, json=body | {"layer": layer | {"padding": "same"}}),
        "one_by_one": service.post(CONV, json=one_by_one),
        "flipped": service.post(
            "/v1/operations/convolve", json={"input": A, "kernel": "vertical_edge", "flip": True}
        ),
    }


if __name__ == "__main__":
    run(main)
