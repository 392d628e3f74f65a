"""Single layers over HTTP: the numbers of the article, every layer against the engine, and what is refused."""

from __future__ import annotations

from typing import Any

import httpx

EDGE = [[10, 10, 10, 0, 0, 0] for _ in range(6)]
VERTICAL = [[1, 0, -1]] * 3


def call(http: httpx.Client, operation: str, **body: Any) -> dict[str, Any]:
    answer = http.post(f"/v1/operations/{operation}", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_the_article_s_vertical_edge(http: httpx.Client) -> None:
    answer = call(http, "convolve", input=EDGE, kernel="vertical_edge")
    assert answer["output"] == [[0, 30, 30, 0]] * 4
    assert answer["output_shape"] == [4, 4]
    assert answer["formula"]["height"] == "floor((6 + 2*0 - 3)/1) + 1 = 4"
    assert answer["kernel"] == VERTICAL
    assert (
        call(http, "convolve", input=EDGE, kernel="vertical_edge", flip=True)["output"]
        == [[0, -30, -30, 0]] * 4
    )


def test_padding_and_stride_of_the_article(http: httpx.Client) -> None:
    padded = call(http, "convolve", input=EDGE, kernel=VERTICAL, padding=1)
    assert padded["output_shape"] == [6, 6]
    assert padded["output"][0] == [-20, 0, 20, 20, 0, 0]
    assert padded["output"][1] == [-30, 0, 30, 30, 0, 0]
    strided = call(http, "convolve", input=EDGE, kernel=VERTICAL, padding=1, stride=2)
    assert strided["output"] == [row[::2] for row in padded["output"][::2]]
    assert strided["formula"]["width"] == "floor((6 + 2*1 - 3)/2) + 1 = 3"
