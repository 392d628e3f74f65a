"""Graphs: names, inputs, blocks, faults and the plain executor."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from engine.errors import EngineError, GraphError, LimitError, ShapeError
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.layers import Context
from engine.layers.base import Statistics
from engine.workspace import Workspace

CONV = {"type": "conv2d", "filters": 2, "kernel_size": 3, "padding": "same"}


def build(layers: list[dict[str, Any]], shape: tuple[int, int, int] = (8, 8, 2), **limits: int) -> Network:
    return Network.build(Architecture.model_validate({"input_shape": shape, "layers": layers}), **limits)


def fault(layers: list[dict[str, Any]], kind: type[EngineError], **options: Any) -> EngineError:
    with pytest.raises(kind) as caught:
        build(layers, **options)
    return caught.value


def test_names_are_readable_and_count_within_their_scope() -> None:
    network = build(
        [
            {**CONV, "activation": "relu"},
            {"type": "residual", "layers": [{**CONV, "activation": "relu"}, CONV]},
            {
                "type": "residual",
                "layers": [{**CONV, "stride": 2}],
                "shortcut": "projection",
                "activation": None,
            },
            {"type": "parallel", "branches": [[CONV], [{"type": "max_pool2d", "pool_size": 1}, CONV]]},
        ]
    )
    assert [node.name for node in network.nodes] == [
        "conv2d_1",
        "conv2d_1/activation",
        "residual_1/body/conv2d_1",
        "residual_1/body/conv2d_1/activation",
        "residual_1/body/conv2d_2",
        "residual_1/add",
        "residual_1/activation",
        "residual_2/body/conv2d_1",
        "residual_2/shortcut",
        "residual_2/add",
        "parallel_1/branch_1/conv2d_1",
        "parallel_1/branch_2/max_pool2d_1",
        "parallel_1/branch_2/conv2d_1",
        "parallel_1/concatenate",
    ]
    assert "residual_2/shortcut/weight" in network.weight_specs
    assert network.output_shape == (4, 4, 4)


def test_inputs_look_in_their_own_scope_then_outwards() -> None:
    network = build(
        [
            {**CONV, "name": "stem", "activation": "relu"},
            {
                "type": "residual",
                "layers": [{**CONV, "name": "inner"}, {"type": "add", "inputs": ["inner", "stem", "input"]}],
            },
        ]
    )
    by_name = {node.name: node for node in network.nodes}
    assert by_name["residual_1/body/add_1"].inputs == (
        "residual_1/body/inner",
        "stem/activation",
        "stem/activation",
    )


def test_two_inputs_that_are_one_node_get_both_gradients() -> None:
    network = build([{**CONV, "name": "c"}, {"type": "add", "inputs": ["c", "c"]}])
    weights = network.initial_weights(0, np.float64)
    x = np.random.default_rng(0).standard_normal((2, 8, 8, 2))
    tape = network.forward(weights, x, Context(statistics="batch", records=True))
    doubled = network.backward(tape, np.ones_like(tape.output))
    single = build([{**CONV, "name": "c"}])
    tape = single.forward(weights, x, Context(statistics="batch", records=True))
    expected = single.backward(tape, np.ones_like(tape.output))
    for name, gradient in doubled.items():
        np.testing.assert_allclose(gradient, 2 * expected[name])


@pytest.mark.parametrize("statistics", ["batch", "running"])
def test_a_fixed_projection_takes_every_other_pixel_and_adds_empty_channels(statistics: Statistics) -> None:
    network = build(
        [
            {
                "type": "residual",
                "layers": [{"type": "conv2d", "filters": 3, "kernel_size": 1, "stride": 2}],
                "shortcut": "fixed_projection",
                "activation": None,
            }
        ]
    )
    assert not network.weight_specs["residual_1/shortcut/weight"].trainable
    weights = network.initial_weights(0)
    weights["residual_1/body/conv2d_1/weight"][...] = 0
    x = np.random.default_rng(0).standard_normal((1, 8, 8, 2)).astype(np.float32)
    y = network.forward(weights, x, Context(statistics=statistics)).output
    np.testing.assert_array_equal(y[..., :2], x[:, ::2, ::2])
    assert (y[..., 2] == 0).all()


def test_a_residual_block_can_be_the_identity() -> None:
    """The article, section 5: with w = 0 and b = 0 the block passes a non-negative input on."""
    network = build([{"type": "residual", "layers": [CONV]}])
    weights = {name: np.zeros_like(weight) for name, weight in network.initial_weights(0).items()}
    x = np.random.default_rng(0).random((2, 8, 8, 2), dtype=np.float32)
    np.testing.assert_array_equal(network.forward(weights, x, Context()).output, x)


def test_weights_depend_on_seed_and_name_alone() -> None:
    short, long = build([CONV]), build([CONV, CONV])
    key = "conv2d_1/weight"
    np.testing.assert_array_equal(short.initial_weights(1)[key], long.initial_weights(1)[key])
    assert (short.initial_weights(1)[key] != short.initial_weights(2)[key]).any()


def test_he_initialisation_keeps_the_variance() -> None:
    weight = build([{**CONV, "filters": 512}], (8, 8, 64)).initial_weights(0)["conv2d_1/weight"]
    assert weight.std() == pytest.approx(np.sqrt(2 / (9 * 64)), rel=0.01)


def test_a_final_softmax_is_absorbed_and_an_inner_one_is_not() -> None:
    dense = {"type": "dense", "units": 3}
    written = build([{"type": "flatten"}, {**dense, "activation": "softmax"}])
    assert [node.name for node in written.without_final("softmax").nodes] == ["flatten_1", "dense_1"]
    inner = build([{"type": "softmax"}, {"type": "flatten"}, dense])
    assert inner.without_final("softmax") is inner


def test_gradients_of_frozen_layers_are_left_out() -> None:
    network = build([{**CONV, "trainable": False}, CONV])
    tape = network.forward(
        network.initial_weights(0),
        np.ones((1, 8, 8, 2), np.float32),
        Context(statistics="batch", records=True),
    )
    assert set(network.backward(tape, tape.output)) == {"conv2d_2/weight", "conv2d_2/bias"}


class Requests(Workspace):
    """Remembers what memory the nodes ask for."""

    def __init__(self) -> None:
        super().__init__()
        self.roles: set[tuple[str, str]] = set()

    def take(self, owner: str, role: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        self.roles.add((owner, role))
        return super().take(owner, role, shape, dtype)


@pytest.mark.parametrize("frozen", [CONV, {"type": "transposed_conv2d", "filters": 2}])
def test_gradients_of_frozen_weights_are_not_computed(frozen: dict[str, Any]) -> None:
    """Behind what learns only the gradient of the maps is needed; before it nothing is."""
    frozen = {**frozen, "trainable": False}
    network = build([{**frozen, "name": "first"}, {**CONV, "name": "learns"}, {**frozen, "name": "last"}])
    requests = Requests()
    context = Context(statistics="batch", records=True, workspace=requests)
    tape = network.forward(network.initial_weights(0), np.ones((1, 8, 8, 2), np.float32), context)
    assert set(network.backward(tape, tape.output)) == {"learns/weight", "learns/bias"}
    asked = {(owner, role) for owner, role in requests.roles if role.startswith("d")}
    assert ("learns", "dweight") in asked
    assert {owner for owner, _ in asked if owner} == {"learns", "last"}
    assert ("last", "dweight") not in asked
    assert ("learns", "dpadded") not in asked


def test_one_pass_back_serves_saliency_and_grad_cam() -> None:
    """In inference, for chosen names alone: gradients of a class's score in the picture and in a map of features."""
    network = build(
        [
            {**CONV, "activation": "relu"},
            {"type": "batch_norm"},
            {"type": "dropout"},
            {"type": "global_average_pool2d"},
            {"type": "dense", "units": 3},
        ]
    )
    weights = network.initial_weights(0, np.float64)
    x = np.random.default_rng(0).standard_normal((1, 8, 8, 2))
    wanted = frozenset({"input", "conv2d_1/activation"})
    tape = network.forward(weights, x, Context(records=True, wanted=wanted))
    gradients = network.backward(tape, np.array([[0.0, 1.0, 0.0]]))
    assert set(gradients) == wanted
    features, of_score = tape.outputs["conv2d_1/activation"], gradients["conv2d_1/activation"]
    assert features.shape == of_score.shape == (1, 8, 8, 2)
    # behind the features all is linear: their gradient, times them, is the score but for what the biases add
    nothing = network.forward(weights, np.zeros_like(x), Context()).output
    np.testing.assert_allclose((features * of_score).sum(), tape.output[0, 1] - nothing[0, 1])
    assert gradients["input"].shape == x.shape


@pytest.mark.parametrize("name", ["nowhere", "conv2d_1/kernel", "batch_norm_1/running_mean"])
def test_gradients_that_do_not_exist_are_refused(name: str) -> None:
    network = build([CONV, {"type": "batch_norm"}])
    context = Context(records=True, wanted=frozenset({name, "input"}))
    with pytest.raises(GraphError, match=f"no gradient of '{name}'"):
        network.forward(network.initial_weights(0), np.ones((1, 8, 8, 2), np.float32), context)


def test_there_is_no_way_back_through_a_pass_that_was_not_recorded() -> None:
    network = build([CONV])
    tape = network.forward(network.initial_weights(0), np.ones((1, 8, 8, 2), np.float32), Context())
    with pytest.raises(ValueError, match="records=True"):
        network.backward(tape, tape.output)


def test_inference_frees_what_nobody_reads_again() -> None:
    network = build([CONV] * 40, (64, 64, 2))
    weights = network.initial_weights(0)
    x = np.ones((8, 64, 64, 2), np.float32)
    tracemalloc.start()
    network.forward(weights, x, Context())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * x.nbytes


@pytest.mark.parametrize(
    ("layers", "path", "words"),
    [
        (
            [CONV, {"type": "conv2d", "filters": 1, "kernel_size": 9}],
            ("layers", 1, "kernel_size"),
            "9x9 window .* 8x8",
        ),
        (
            [{"type": "max_pool2d", "pool_size": 9}],
            ("layers", 0, "pool_size"),
            "9x9 window does not fit a 8x8 input",
        ),
        (
            [{"type": "max_pool2d", "pool_size": 2, "padding": 2}],
            ("layers", 0, "padding"),
            "nothing but padding",
        ),
        ([{"type": "dense", "units": 3}], ("layers", 0), "takes a vector but receives a 8x8x2 map"),
        ([{"type": "flatten"}, CONV], ("layers", 1), "takes a map"),
        (
            [{**CONV, "name": "a", "stride": 2}, {"type": "add", "inputs": ["a", "input"]}],
            ("layers", 1),
            "one shape but receives 4x4x2 and 8x8x2",
        ),
        (
            [{**CONV, "name": "a", "stride": 2}, {"type": "concatenate", "inputs": ["a", "input"]}],
            ("layers", 1),
            "one height and width",
        ),
        (
            [{"type": "residual", "layers": [{**CONV, "stride": 2}]}],
            ("layers", 0, "shortcut"),
            "4x4x2 but the shortcut 8x8x2",
        ),
        (
            [{"type": "residual", "layers": [CONV, {"type": "conv2d", "filters": 1, "kernel_size": 9}]}],
            ("layers", 0, "layers", 1, "kernel_size"),
            "9x9 window",
        ),
        (
            [{"type": "residual", "layers": [{"type": "flatten"}], "shortcut": "projection"}],
            ("layers", 0, "shortcut"),
            "1x1 convolution of a map",
        ),
        (
            [{"type": "parallel", "branches": [[CONV], [{**CONV, "stride": 2}]]}],
            ("layers", 0),
            "concatenate: .* 8x8x2 and 4x4x2",
        ),
    ],
)
def test_shapes_that_do_not_meet_are_named_with_their_place(
    layers: list[dict[str, Any]], path: tuple[str | int, ...], words: str
) -> None:
    error = fault(layers, ShapeError)
    assert error.path == path
    assert error.hint
    with pytest.raises(ShapeError, match=words):
        build(layers)


@pytest.mark.parametrize(
    ("layers", "path"),
    [
        ([{**CONV, "inputs": ["nowhere"]}], ("layers", 0, "inputs", 0)),
        ([{**CONV, "name": "a"}, {**CONV, "name": "a"}], ("layers", 1, "name")),
        ([{**CONV, "name": "conv2d_2"}, CONV], ("layers", 1)),
        ([{**CONV, "inputs": ["input", "input"]}], ("layers", 0, "inputs")),
        ([{"type": "add"}], ("layers", 0, "inputs")),
        ([{**CONV, "name": "input"}], ("layers", 0, "name")),
        ([{"type": "residual", "layers": [CONV], "inputs": ["input", "input"]}], ("layers", 0, "inputs")),
    ],
)
def test_graphs_that_cannot_be_built_are_named_with_their_place(
    layers: list[dict[str, Any]], path: tuple[str | int, ...]
) -> None:
    assert fault(layers, GraphError).path == path


def test_a_parameter_limit_is_checked_before_anything_is_allocated() -> None:
    layers = [{"type": "flatten"}, {"type": "dense", "units": 2**31 - 1}]
    error = fault(layers, LimitError, max_parameters=1000)
    assert error.path == ("layers", 1)
    assert "at most 1,000" in error.detail
    assert build(layers).parameters == (2**31 - 1) * 129  # a description costs nothing
