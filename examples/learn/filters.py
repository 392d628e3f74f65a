"""Filter processing: a filter of nine numbers finds the edges of a picture."""

import base64
from pathlib import Path

import httpx

from examples.learn.service import run

PHOTO = Path(__file__).parents[2] / "tests" / "data" / "photos" / "chelsea.jpg"

CONVOLVE = "/v1/operations/convolve"
A = [[10, 10, 10, 0, 0, 0]] * 6  # light on the left, dark on the right
VEF = [[1, 0, -1], [1, 0, -1], [1, 0, -1]]


def main(service: httpx.Client) -> dict[str, httpx.Response]:
    picture = {"input": A, "kernel": VEF}
    photo = {"image": base64.b64encode(PHOTO.read_bytes()).decode(), "channels": 1, "stride": 2}
    png = {"Accept": "image/png"}
    return {
        "edges": service.post(CONVOLVE, json=picture | {"trace": {"positions": [[0, 0], [0, 1]]}}),
        "figure": service.post(
            CONVOLVE,
            json=picture | {"trace": {"positions": [[0, 1]]}},
            headers={"Accept": "image/svg+xml"},
        ),
        "horizontal": service.post(CONVOLVE, json={"input": A, "kernel": "horizontal_edge"}),
        "named": service.get("/v1/catalog/filters"),
        "vertical_photo": service.post(CONVOLVE, json=photo | {"kernel": "vertical_edge"}, headers=png),
        "horizontal_photo": service.post(CONVOLVE, json=photo | {"kernel": "horizontal_edge"}, headers=png),
    }


if __name__ == "__main__":
    run(main)
