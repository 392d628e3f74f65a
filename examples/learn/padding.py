"""Padding: zeros around a picture, so that its border counts as much as its middle."""

import httpx

from examples.learn.service import run

CONVOLVE = "/v1/operations/convolve"
A = [[10, 10, 10, 0, 0, 0]] * 6
ONES = [[1, 1, 1]] * 3
SVG = {"Accept": "image/svg+xml"}


def main(service: httpx.Client) -> dict[str, httpx.Response]:
    padded = {"input": A, "kernel": "vertical_edge", "padding": 1}
    uses = {
        "input": [[0] * 6] * 6,
        "layer": {"filters": 1, "kernel_size": 3},
        "weights": {"weight": ONES, "bias": 0},
        "output_gradient": "ones",
    }
    return {
        "uses": service.post("/v1/operations/conv2d", json=uses),
        "zeros": service.post("/v1/operations/pad2d", json={"input": A, "layer": {"padding": 1}}),
        "padded": service.post(CONVOLVE, json=padded),
        "figure": service.post(CONVOLVE, json=padded | {"trace": {"positions": [[0, 0]]}}, headers=SVG),
        "same": service.post(CONVOLVE, json=padded | {"padding": "same"}),
    }


if __name__ == "__main__":
    run(main)
