"""Single layers over HTTP: the numbers of the article."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np

from app.operations.examples import EDGE, PICTURE, VERTICAL_EDGE, VOLUME, of_layer
from engine.layers import LAYERS


def call(http: httpx.Client, operation: str, **body: Any) -> dict[str, Any]:
    answer = http.post(f"/v1/operations/{operation}", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def example(kind: str, title: str) -> dict[str, Any]:
    (found,) = (layer for layer in LAYERS if layer.tag() == kind)
    return of_layer(found)[title]


def test_the_article_s_vertical_edge(http: httpx.Client) -> None:
    answer = call(http, "convolve", input=EDGE, kernel="vertical_edge")
    assert answer["output"] == [[0, 30, 30, 0]] * 4
    assert answer["output_shape"] == [4, 4]
    assert answer["formula"]["height"] == "floor((6 + 2*0 - 3)/1) + 1 = 4"
    assert answer["kernel"] == VERTICAL_EDGE
    flipped = call(http, "convolve", input=EDGE, kernel="vertical_edge", flip=True)
    assert flipped["output"] == [[0, -30, -30, 0]] * 4
    assert flipped["kernel"] == [[-1, 0, 1]] * 3
    turned = call(http, "convolve", input=np.transpose(EDGE).tolist(), kernel="horizontal_edge")
    assert turned["output"] == np.transpose(answer["output"]).tolist()


def test_padding_and_stride_of_the_article(http: httpx.Client) -> None:
    padded = call(http, "convolve", input=EDGE, kernel=VERTICAL_EDGE, padding=1)
    assert padded["output_shape"] == [6, 6]
    assert padded["output"][0] == [-20, 0, 20, 20, 0, 0]
    assert padded["output"][1] == [-30, 0, 30, 30, 0, 0]
    strided = call(http, "convolve", input=EDGE, kernel=VERTICAL_EDGE, padding=1, stride=2)
    assert strided["output"] == [row[::2] for row in padded["output"][::2]]
    assert strided["formula"]["width"] == "floor((6 + 2*1 - 3)/2) + 1 = 3"


def test_the_article_s_volume_under_two_filters(http: httpx.Client) -> None:
    answer = call(http, "conv2d", **example("conv2d", "a volume of three channels under two filters"))
    assert answer["output_shape"] == [4, 4, 2]
    # red goes down as much as green goes up at the edge, and both filters see nothing of the blue
    sums = np.zeros((4, 4, 2))
    for row, column, f in np.ndindex(sums.shape):
        kernel = np.array(VERTICAL_EDGE) if f == 0 else np.transpose(VERTICAL_EDGE)
        window = np.array(VOLUME)[row : row + 3, column : column + 3]
        sums[row, column, f] = sum((window[..., c] * kernel).sum() for c in range(3))
    assert answer["output"] == sums.tolist()


def test_one_layer_of_the_article(http: httpx.Client) -> None:
    body = example("conv2d", "one filter, bias and relu")
    answer = call(http, "conv2d", **body)
    plain = call(http, "convolve", input=PICTURE, kernel=VERTICAL_EDGE)["output"]
    assert answer["output"] == np.maximum(np.array(plain) + 1, 0).tolist()
    (corner, last) = answer["trace"]
    assert corner["position"] == [0, 0]
    assert corner["window"] == [row[:3] for row in PICTURE[:3]]
    assert corner["products"] == (np.array(corner["window"]) * VERTICAL_EDGE).tolist()
    assert corner["sum"] + corner["bias"] == corner["output"] == plain[0][0] + 1
    assert corner["through"]["output"] == answer["output"][0][0] == 0
    assert last["through"]["output"] == answer["output"][3][3]
    assert answer["trace_total"] == 16


def test_pooling_of_the_article(http: httpx.Client) -> None:
    cells = np.array(PICTURE).reshape(3, 2, 3, 2)
    average = call(http, "average_pool2d", **example("average_pool2d", "f = 2, s = 2"))
    assert average["output"] == cells.mean(axis=(1, 3)).tolist()
    assert average["output_shape"] == [3, 3]
    largest = call(http, "max_pool2d", **example("max_pool2d", "f = 2, s = 2, and which cells won"))
    assert largest["output"] == cells.max(axis=(1, 3)).tolist()
    assert largest["trace_total"] == len(largest["trace"]) == 9
    for trace in largest["trace"]:
        row, column = trace["winner"]
        assert PICTURE[row][column] == trace["output"]


def test_flatten_into_a_fully_connected_layer(http: httpx.Client) -> None:
    flat = call(http, "flatten", **example("flatten", "a volume to a vector"))
    assert flat["output"] == [1, 2, 3, 4, 5, 6, 7, 8]
    dense = call(http, "dense", **example("dense", "a flattened 2x2 map"))
    assert dense["output"] == [max(1 - 3 + 1, 0), max(2 + 4 - 2, 0)]


def test_residual_sums_of_the_article(http: httpx.Client) -> None:
    body = example("residual", "the skip connection is on")
    answer = call(http, "residual", **body)
    z = call(http, "convolve", input=PICTURE, kernel=VERTICAL_EDGE, padding=1)["output"]
    assert answer["output"] == np.maximum(np.array(z) + PICTURE, 0).tolist()
    learned = call(http, "residual", **example("residual", "a learned W_s"), output_gradient="ones")
    assert learned["weights"]["shortcut/weight"] == [[[[1, 0.5]]]]
    assert set(learned["gradients"]["weights"]) == {
        "body/conv2d_1/weight",
        "body/conv2d_1/bias",
        "shortcut/weight",
    }
    fixed = call(http, "residual", **example("residual", "a fixed W_s"), output_gradient="ones")
    assert fixed["weights"]["shortcut/weight"] == [[[[1, 0]]]]
    assert "shortcut/weight" not in fixed["gradients"]["weights"]


def test_an_inception_block_costs_less_with_reductions(http: httpx.Client) -> None:
    reduced = call(http, "inception", **example("inception", "all at once, with 1x1 reductions"))
    plain = call(http, "inception", **example("inception", "without the reductions"))
    assert reduced["output_shape"] == plain["output_shape"] == [6, 6, 5]
    # 36 positions: 3 + (3 + 9*2) + (3 + 25) + 3 multiply-adds each, against 3 + 27*2 + 75 + 3
    assert reduced["multiply_adds"] == 36 * 55
    assert plain["multiply_adds"] == 36 * 135
    assert sum(node["multiply_adds"] for node in plain["nodes"]) == plain["multiply_adds"]
