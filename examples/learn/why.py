"""Why CNNs work: parameters are shared, and connections sparse."""

import httpx

from examples.learn.service import run


def main(service: httpx.Client) -> dict[str, httpx.Response]:
    network = {
        "input_shape": [28, 28, 1],
        "layers": [
            {"type": "conv2d", "filters": 6, "kernel_size": 5, "padding": "same"},
            {"type": "max_pool2d", "pool_size": 2},
            {"type": "conv2d", "filters": 16, "kernel_size": 5},
        ],
    }
    here, there = ([[10 * (column >= at) for column in range(8)]] * 3 for at in (2, 5))
    return {
        "network": service.post("/v1/architectures/summary", json=network),
        "here": service.post("/v1/operations/convolve", json={"input": here, "kernel": "sobel_x"}),
        "there": service.post("/v1/operations/convolve", json={"input": there, "kernel": "sobel_x"}),
    }


if __name__ == "__main__":
    run(main)
