"""Data preprocessing: pictures are varied, and split into three sets."""

from typing import Any

import httpx

from examples.learn.service import run


def main(service: httpx.Client) -> dict[str, httpx.Response]:
    kinds: list[dict[str, Any]] = [
        {"type": "random_crop", "padding": 3},
        {"type": "rotation", "degrees": 20},
        {"type": "horizontal_flip"},
        {"type": "gaussian_noise", "deviation": 0.15},
        {"type": "contrast", "strength": 0.8},
    ]
    sheet = "/v1/datasets/digits/augmentation-preview"
    return {
        "digits": service.get("/v1/datasets/digits"),
        **{
            kind["type"]: service.post(sheet, json={"augmentations": [kind], "images": 1, "variants": 6})
            for kind in kinds
        },
        "together": service.post(sheet, json={"augmentations": kinds[:2], "images": 4, "variants": 6}),
    }


if __name__ == "__main__":
    run(main)
