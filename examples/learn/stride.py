"""Stride: how far the window moves from one position to the next."""

import httpx

from app.operations.examples import PICTURE
from examples.learn.service import run

CONVOLVE = "/v1/operations/convolve"


def main(service: httpx.Client) -> dict[str, httpx.Response]:
    body = {"input": PICTURE, "kernel": "vertical_edge"}
    trace = {"trace": {"positions": [[0, 1]]}}
    svg = {"Accept": "image/svg+xml"}
    return {
        "one": service.post(CONVOLVE, json=body | {"stride": 1} | trace),
        "figure_one": service.post(CONVOLVE, json=body | {"stride": 1} | trace, headers=svg),
        "two": service.post(CONVOLVE, json=body | {"stride": 2} | trace),
        "figure_two": service.post(CONVOLVE, json=body | {"stride": 2} | trace, headers=svg),
        "zero": service.post(CONVOLVE, json=body | {"stride": 0}),
    }


if __name__ == "__main__":
    run(main)
