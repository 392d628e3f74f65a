"""Inside a trained network: filters, activations, and the arithmetic of one number."""

import httpx

from examples.learn.service import run

MODEL = "/v1/models/model_example"


def main(service: httpx.Client) -> dict[str, httpx.Response]:
    digit = service.get("/v1/datasets/digits/images/3?split=test").content
    png = {"Accept": "image/png"}

    def ask(call: str, **headers: str) -> httpx.Response:
        return service.post(f"{MODEL}/{call}", files={"files": ("digit.png", digit)}, headers=headers)

    return {
        "digit": service.get("/v1/datasets/digits/images/3?split=test"),
        "prediction": ask("predict?top_k=3"),
        "filters": service.get(f"{MODEL}/filters?node=conv2d_1", headers=png),
        "account": ask("activations"),
        "first": ask("activations?node=conv2d_1/activation", **png),
        "second": ask("activations?node=conv2d_2/activation", **png),
        "trace": ask("trace?node=conv2d_1&position=13,13,0"),
    }


if __name__ == "__main__":
    run(main)
