"""How numbers of a network's nodes came about, against the plain executor and the article's numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.errors import GraphError, ShapeError
from engine.graph.trace import NodeTrace, trace_node
from engine.layers import Context
from tests.engine.test_network import CONV, build

SMALL = (4, 5, 2)
RESIDUAL = {"type": "residual", "layers": [{**CONV, "activation": "relu"}, CONV]}


def run(layers: list[dict[str, Any]], shape: tuple[int, int, int] = SMALL) -> tuple:
    """Return a network, its weights, a picture, and what each of its nodes gives for it, in float64."""
    network = build(layers, shape)
    weights = network.initial_weights(seed=1, dtype=np.float64)
    image = np.random.default_rng(2).standard_normal(shape)
    outputs = {run.node.name: run.output[0].copy() for run in network.run(weights, image[None], Context())}
    return network, weights, image, outputs


def test_the_article_s_first_filter() -> None:
    """Section 2: the left half of a 6x6 picture is 10, its right half 0; the filter finds the edge between."""
    network = build([{"type": "conv2d", "filters": 1, "bias": False, "activation": "relu"}], (6, 6, 1))
    image = np.zeros((6, 6, 1))
    image[:, :3] = 10
    kernel = np.array([[1.0, 0, -1]] * 3).reshape(3, 3, 1, 1)
    found = trace_node(network, {"conv2d_1/weight": kernel}, image, "conv2d_1", [(0, 1, 0), (3, 3, 0)])
    edge, nothing = (each.trace for each in found)
    sums = "10*1 + 10*0 + 0*(-1)"
    assert edge.expression == f"{sums} + {sums} + {sums} = 30"
    assert (edge.begins, edge.step, edge.sum, edge.bias) == ((0, 1, 0), (1, 1, 1), 30, None)
    np.testing.assert_array_equal(edge.products[..., 0], [[10, 0, 0]] * 3)
    assert nothing.output == 0
    assert found[0].through is not None
    assert found[0].through.node == "conv2d_1/activation"
    assert found[0].through.trace.expression == "max(30, 0) = 30"


@pytest.mark.parametrize(
    ("layer", "position", "expression"),
    [
        ({"type": "average_pool2d"}, (0, 1, 0), "(3 + 4 + 7 + 8) / 4 = 5.5"),
        ({"type": "max_pool2d", "padding": 1}, (0, 0, 0), "max(1) = 1"),
        ({"type": "pad2d", "padding": 1}, (0, 0, 0), "padding = 0"),
        ({"type": "flatten"}, (5,), "a[1, 1, 0] = 6"),
        ({"type": "leaky_relu", "slope": 0.5}, (0, 0, 0), "(1 if 1 > 0, else 0.5 * 1) = 1"),
        ({"type": "sigmoid"}, (0, 0, 0), "1 / (1 + exp(-1)) = 0.7311"),
        ({"type": "batch_norm", "epsilon": 0.25}, (1, 0, 0), "1 * (5 - 0) / sqrt(1 + 0.25) + 0 = 4.472"),
        ({"type": "layer_norm", "affine": False, "epsilon": 1.0}, (1, 0, 0), "(5 - 5) / sqrt(0 + 1) = 0"),
        (
            {"type": "global_average_pool2d"},
            (0,),
            "(1 + 2 + 3 + 4 + 5 + 6 + ... + 11 + 12 + 13 + 14 + 15 + 16) / 16 = 8.5",
        ),
    ],
)
def test_an_expression_has_the_numbers_put_in(
    layer: dict[str, Any], position: tuple[int, ...], expression: str
) -> None:
    network = build([layer], (4, 4, 1))
    image = np.arange(1.0, 17.0).reshape(4, 4, 1)
    weights = network.initial_weights(seed=0, dtype=np.float64)
    (found,) = trace_node(network, weights, image, network.nodes[0].name, [position])
    assert found.trace.expression == expression
    assert found.inputs_from == ("input",)


def test_every_node_s_trace_is_what_the_network_computes() -> None:
    layers = [
        {**CONV, "activation": "silu"},
        RESIDUAL,
        {"type": "inception", "filters_1x1": 2, "filters_3x3": 1, "filters_5x5": 1, "batch_norm": True},
        {"type": "squeeze_and_excitation", "reduction": 2},
        {"type": "flatten"},
        {"type": "dense", "units": 3},
        {"type": "softmax"},
    ]
    network, weights, image, outputs = run(layers)
    for name, output in outputs.items():
        positions = [tuple(n - 1 for n in output.shape), (0,) * output.ndim]
        for position, found in zip(
            positions, trace_node(network, weights, image, name, positions, on_the_way=True), strict=True
        ):
            for each in _all(found):
                expected = outputs[each.node][each.trace.position]
                np.testing.assert_allclose(each.trace.output, expected, rtol=1e-9, atol=1e-12)
                for source in each.trace.sources:
                    before = outputs.get(each.inputs_from[source.input], image)
                    assert source.value == before[source.position]
            assert (found.node, found.trace.position) == (name, position)
            psi = f"{name}/activation"
            assert (found.through.node if found.through else None) == (psi if psi in outputs else None)


def _all(found: NodeTrace) -> list[NodeTrace]:
    return [found, *found.on_the_way, *([found.through] if found.through else [])]


def test_a_residual_block_is_its_sum_and_the_two_terms() -> None:
    network, weights, image, _ = run([RESIDUAL | {"shortcut": "projection"}])
    (found,) = trace_node(network, weights, image, "residual_1", [(1, 2, 1)], on_the_way=True)
    assert (found.node, found.type) == ("residual_1/activation", "relu")
    assert [each.node for each in found.on_the_way] == [
        "residual_1/add",
        "residual_1/body/conv2d_2",
        "residual_1/shortcut",
    ]
    total, body, around = (each.trace for each in found.on_the_way)
    assert total.output == pytest.approx(body.output + around.output, rel=1e-12)
    assert found.trace.output == max(total.output, 0)
    (alone,) = trace_node(network, weights, image, "residual_1", [(1, 2, 1)])
    assert alone.on_the_way == ()


def test_an_identity_is_followed_no_further_than_the_block() -> None:
    network, weights, image, _ = run([CONV, RESIDUAL])
    (found,) = trace_node(network, weights, image, "residual_1", [(0, 0, 0)], on_the_way=True)
    assert [each.node for each in found.on_the_way] == ["residual_1/add", "residual_1/body/conv2d_2"]
    assert found.on_the_way[0].inputs_from == ("residual_1/body/conv2d_2", "conv2d_1")


def test_paths_that_meet_again_are_followed_once() -> None:
    """Forty sums, each of one number by two ways, are 2^40 paths."""
    twice = {"type": "parallel", "branches": [[], []], "merge": "add"}
    network, weights, image, _ = run([{"type": "parallel", "branches": [[twice] * 40, []], "merge": "add"}])
    (found,) = trace_node(network, weights, image, "parallel_1", [(0, 0, 0)], on_the_way=True)
    assert len(found.on_the_way) == 40


def test_the_network_runs_no_further_than_needed() -> None:
    network, weights, image, _ = run([CONV, {**CONV, "name": "broken"}])
    del weights["broken/weight"]
    (found,) = trace_node(network, weights, image, "conv2d_1", [(0, 0, 0)])
    assert found.node == "conv2d_1"


def test_what_is_not_there_is_refused_before_anything_runs() -> None:
    network, weights, image, _ = run([CONV, RESIDUAL])
    weights.clear()
    with pytest.raises(GraphError, match="no layer or block 'conv'") as unknown:
        trace_node(network, weights, image, "conv", [(0, 0, 0)])
    assert unknown.value.hint is not None
    assert "conv2d_1, residual_1" in unknown.value.hint
    with pytest.raises(ShapeError, match=r"\[0, 5, 0\] of an output of 4x5x2") as outside:
        trace_node(network, weights, image, "residual_1", [(0, 0, 0), (0, 5, 0)])
    assert outside.value.path == (1,)
    with pytest.raises(ShapeError, match="a picture of 5x4x2 for a network that takes 4x5x2"):
        trace_node(network, weights, np.zeros((5, 4, 2)), "conv2d_1", [(0, 0, 0)])
