"""Explanations: which parts of a picture a score comes from."""

import httpx

from examples.learn.service import run

EXPLAIN = "/v1/models/model_example/explain"


def main(service: httpx.Client) -> dict[str, httpx.Response]:
    digit = service.get("/v1/datasets/digits/images/3?split=test").content

    def explain(query: str, **headers: str) -> httpx.Response:
        return service.post(f"{EXPLAIN}?{query}", files={"files": ("digit.png", digit)}, headers=headers)

    png = {"Accept": "image/png"}
    return {
        "cam": explain("method=grad_cam"),
        "cam_map": explain("method=grad_cam", **png),
        "integrated": explain("method=integrated_gradients&steps=128"),
        "integrated_map": explain("method=integrated_gradients&steps=128", **png),
        "eight_map": explain("method=integrated_gradients&steps=128&class=8", **png),
    }


if __name__ == "__main__":
    run(main)
