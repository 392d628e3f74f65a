"""Bodies to start from: what can be computed of the article, and each layer's own first example."""

from __future__ import annotations

from typing import Any

from engine.layers import LayerRecord

VERTICAL_EDGE = [[1, 0, -1], [1, 0, -1], [1, 0, -1]]
"""VEF, section 1."""

EDGE = [[10, 10, 10, 0, 0, 0] for _ in range(6)]
"""A grey 6x6 picture, A in section 1: light on the left, dark on the right."""

PICTURE = [
    [3, 0, 1, 2, 7, 4],
    [1, 5, 8, 9, 3, 1],
    [2, 7, 2, 5, 1, 3],
    [0, 1, 3, 1, 7, 8],
    [4, 2, 1, 6, 2, 8],
    [2, 4, 5, 2, 3, 9],
]
"""Another grey 6x6 picture."""

VOLUME = [[[10, 0, 5] if column < 3 else [0, 10, 5] for column in range(6)] for _ in range(6)]
"""A 6x6 picture in three channels: red on the left, green on the right, the same blue everywhere."""

CONVOLVE: dict[str, dict[str, Any]] = {
    "the vertical edge filter on a 6x6 picture": {"input": EDGE, "kernel": "vertical_edge"},
    "padding p = 1": {"input": EDGE, "kernel": "vertical_edge", "padding": 1},
    "stride s = 2": {"input": PICTURE, "kernel": VERTICAL_EDGE, "stride": 2, "padding": 1},
    "the arithmetic of two numbers": {
        "input": EDGE,
        "kernel": "vertical_edge",
        "trace": {"positions": [[0, 0], [0, 1]]},
    },
    "convolution as in mathematics": {"input": EDGE, "kernel": "vertical_edge", "flip": True},
}
"""Bodies of `convolve`."""

_TWO_FILTERS = [
    # in the order (height, width, in, out): each number of the vertical edge filter beside its mirror image
    [[[VERTICAL_EDGE[row][column], VERTICAL_EDGE[column][row]] for _ in range(3)] for column in range(3)]
    for row in range(3)
]

_ARTICLE: dict[str, dict[str, dict[str, Any]]] = {
    "conv2d": {
        "a volume of three channels under two filters": {
            "input": VOLUME,
            "layer": {"filters": 2, "kernel_size": 3},
            "weights": {"weight": _TWO_FILTERS, "bias": [0, 0]},
        },
        "one filter, bias and relu": {
            "input": PICTURE,
            "layer": {"filters": 1, "kernel_size": 3, "activation": "relu"},
            "weights": {"weight": VERTICAL_EDGE, "bias": 1},
            "trace": {"positions": [[0, 0], [3, 3]]},
        },
        "gradients": {
            "input": PICTURE,
            "layer": {"filters": 1, "kernel_size": 3, "padding": "same"},
            "weights": {"weight": VERTICAL_EDGE, "bias": 0},
            "output_gradient": "ones",
        },
    },
    "average_pool2d": {"f = 2, s = 2": {"input": PICTURE, "layer": {"pool_size": 2, "stride": 2}}},
    "max_pool2d": {
        "f = 2, s = 2, and which cells won": {
            "input": PICTURE,
            "layer": {"pool_size": 2, "stride": 2},
            "trace": True,
        }
    },
    "flatten": {"a volume to a vector": {"input": [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]}},
    "dense": {
        "a flattened 2x2 map": {
            "input": [1, 2, 3, 4],
            "layer": {"units": 2, "activation": "relu"},
            "weights": {"weight": [[1, 0], [0, 1], [-1, 0], [0, 1]], "bias": [1, -2]},
        }
    },
    "residual": {
        "the skip connection is on": {
            "input": PICTURE,
            "layer": {"layers": [{"type": "conv2d", "filters": 1, "kernel_size": 3, "padding": "same"}]},
            "weights": {"body/conv2d_1/weight": VERTICAL_EDGE},
        },
        "a learned W_s": {
            "input": PICTURE,
            "layer": {
                "layers": [
                    {"type": "conv2d", "filters": 2, "kernel_size": 3, "padding": "same", "stride": 2}
                ],
                "shortcut": "projection",
            },
            "weights": {"shortcut/weight": [[[[1, 0.5]]]]},
        },
        "a fixed W_s": {
            "input": PICTURE,
            "layer": {
                "layers": [
                    {"type": "conv2d", "filters": 2, "kernel_size": 3, "padding": "same", "stride": 2}
                ],
                "shortcut": "fixed_projection",
            },
        },
    },
    "inception": {
        "all at once, with 1x1 reductions": {
            "input": VOLUME,
            "layer": {
                "filters_1x1": 1,
                "reduce_3x3": 1,
                "filters_3x3": 2,
                "reduce_5x5": 1,
                "filters_5x5": 1,
                "filters_pool": 1,
            },
        },
        "without the reductions": {
            "input": VOLUME,
            "layer": {"filters_1x1": 1, "filters_3x3": 2, "filters_5x5": 1, "filters_pool": 1},
        },
    },
}


def of_layer(kind: type[LayerRecord]) -> dict[str, dict[str, Any]]:
    """Return bodies for a layer or block by their titles: the article's, or else the layer's own first example."""
    article = _ARTICLE.get(kind.tag())
    if article is not None:
        return article
    example = kind.examples[0]
    inputs = [_numbers(shape) for shape in example.inputs]
    body: dict[str, Any] = {"input": inputs[0]} if len(inputs) == 1 else {"inputs": inputs}
    layer = {name: value for name, value in example.layer.items() if name != "type"}
    return {"a small input": body | ({"layer": layer} if layer else {})}


def _numbers(shape: tuple[int, ...]) -> Any:
    """Return small whole numbers, positive and negative, in the form of a shape."""
    count = iter(range(1_000_000))

    def filled(sizes: tuple[int, ...]) -> Any:
        if not sizes:
            return next(count) * 7 % 11 - 5
        return [filled(sizes[1:]) for _ in range(sizes[0])]

    return filled(shape)
