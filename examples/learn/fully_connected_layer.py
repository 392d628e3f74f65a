"""The fully connected layer, and how a volume is flattened for it."""

import httpx

from examples.learn.service import run


def main(service: httpx.Client) -> dict[str, httpx.Response]:
    body = {
        "input": [1, 2, 3, 4],
        "layer": {"units": 2, "activation": "relu"},
        "weights": {"weight": [[1, 0], [0, 1], [-1, 0], [0, 1]], "bias": [1, -2]},
        "trace": True,
    }
    flat = {"input": [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]}
    network = {
        "input_shape": [5, 5, 16],
        "layers": [{"type": "flatten"}, {"type": "dense", "units": 120}],
    }
    return {
        "flat": service.post("/v1/operations/flatten", json=flat),
        "dense": service.post("/v1/operations/dense", json=body),
        "figure": service.post(
            "/v1/operations/dense",
            json=body | {"trace": {"positions": [[1]]}},
            headers={"Accept": "image/svg+xml"},
        ),
        "counted": service.post("/v1/architectures/summary", json=network),
    }


if __name__ == "__main__":
    run(main)
