"""The learning algorithm: one step taken apart, and a whole training job."""

import time

import httpx

from examples.learn.service import run

STEP = {
    "architecture": {
        "input_shape": [4, 4, 1],
        "layers": [
            {"type": "conv2d", "filters": 1, "kernel_size": 3, "activation": "relu"},
            {"type": "flatten"},
            {"type": "dense", "units": 2},
        ],
    },
    "inputs": [[[1, 1, 0, 0]] * 4, [[0, 0, 1, 1]] * 4],
    "targets": [0, 1],
    "optimizer": {"type": "sgd", "learning_rate": 0.5, "momentum": 0.0},
    "show": ["dense_1/weight"],
}


def main(service: httpx.Client) -> dict[str, httpx.Response]:
    job = service.post(
        "/v1/training-jobs",
        json={
            "architecture": {"preset": "lenet-5"},
            "dataset": "digits",
            "epochs": 3,
            "batch_size": 32,
            "optimizer": {"type": "sgd", "learning_rate": 0.03, "momentum": 0.9},
        },
    )
    address = job.headers["Location"]
    while service.get(address).json()["status"] in ("queued", "running"):
        time.sleep(0.2)
    png = {"Accept": "image/png"}
    return {
        "step": service.post("/v1/training-steps", json=STEP),
        "job": job,
        "curves": service.get(f"{address}/curves", headers=png),
        "norms": service.get(f"{address}/norms", headers=png),
    }


if __name__ == "__main__":
    run(main)
