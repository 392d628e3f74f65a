"""The engine's traces as JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest

from app.errors import TooLarge
from app.web.answers.traces import node_traces, traces
from engine.graph.trace import trace_node
from engine.layers.convolution import Conv2D
from engine.layers.pooling import GlobalMaxPool2D, MaxPool2D
from tests.engine.test_network import CONV, build

PICTURE = np.array([[10.0, 0.0], [0.0, 5.0]])[..., None]


def test_a_trace_of_grids_is_made_of_grids() -> None:
    layer = Conv2D(filters=1, kernel_size=(2, 2), padding=((1, 0), (1, 0)))
    weights = {"weight": np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(2, 2, 1, 1), "bias": np.array([0.5])}
    (deep,) = traces([layer.trace(weights, [PICTURE], (0, 1, 0))])
    assert json.loads(deep.model_dump_json())["window"] == [[[0], [0]], [[10], [0]]]
    (flat,) = traces([layer.trace(weights, [PICTURE], (0, 1, 0))], flat=True)
    document = json.loads(flat.model_dump_json(exclude_none=True))
    assert document == {
        "position": [0, 1],
        "output": 30.5,
        "expression": "0*1 + 0*2 + 10*3 + 0*4 + 0.5 = 30.5",
        "sources": [],
        "window": [[0, 0], [10, 0]],
        "inside": [[False, False], [True, True]],
        "begins": [-1, 0],
        "step": [1, 1],
        "factors": [[1, 2], [3, 4]],
        "products": [[0, 0], [30, 0]],
        "sum": 30,
        "bias": 0.5,
    }


def test_numbers_that_json_cannot_write_are_null() -> None:
    picture = PICTURE.copy()
    picture[1, 1] = np.inf
    (found,) = traces([MaxPool2D().trace({}, [picture], (0, 0, 0))])
    document = json.loads(found.model_dump_json())
    assert document["output"] is None
    assert document["winner"] == [1, 1, 0]
    assert document["window"] == [[[10], [0]], [[0], [None]]]


def test_a_node_s_trace_goes_out_with_its_activation_and_what_is_on_the_way() -> None:
    network = build([{"type": "residual", "layers": [CONV]}], (4, 4, 2))
    weights = network.initial_weights(seed=1)
    image = np.ones((4, 4, 2), np.float32)
    found = trace_node(network, weights, image, "residual_1", [(0, 3, 1)], on_the_way=True)
    (document,) = (json.loads(each.model_dump_json()) for each in node_traces(found))
    assert document["node"] == "residual_1/activation"
    (source,) = document["trace"]["sources"]
    assert source["position"] == [0, 3, 1]
    total, body = document["on_the_way"]
    assert total["inputs_from"] == ["residual_1/body/conv2d_1", "input"]
    assert [each["value"] for each in total["trace"]["sources"]] == pytest.approx(
        [body["trace"]["output"], 1], rel=1e-5
    )


def test_more_numbers_than_json_carries_are_refused() -> None:
    x = np.zeros((400, 300, 1), np.float32)
    with pytest.raises(TooLarge, match=r"120,000 numbers.*a smaller input"):
        traces([GlobalMaxPool2D().trace({}, [x], (0,))])
    half = GlobalMaxPool2D().trace({}, [x[:200]], (0,))
    assert len(traces([half])) == 1
    with pytest.raises(TooLarge, match="fewer positions"):
        traces([half, half])
