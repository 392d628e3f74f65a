"""What every layer promises, checked on every example of every layer in the registry."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.layers import LAYERS, AnyLayer, Block, Context, Example, Layer
from engine.layers.base import Axis, Statistics
from engine.spec import descriptions
from engine.workspace import Workspace
from tests.engine.reference import numeric_gradient

PARSE = TypeAdapter(AnyLayer)
CASES = [
    pytest.param(kind, example, id=f"{kind.tag()}-{number}")
    for kind in LAYERS
    for number, example in enumerate(kind.examples)
]
TORCH_ORDER: tuple[Axis, ...] = ("out", "in", "channels", "height", "width")
STATISTICS: tuple[Statistics, ...] = ("batch", "running")
PLAIN = [case for case in CASES if not issubclass(case.values[0], Block)]


def build(example: Example) -> tuple[Layer, dict[str, np.ndarray], list[np.ndarray]]:
    """Return a layer with float64 weights and a batch of three for each input."""
    layer = PARSE.validate_python(example.layer)
    draw = np.random.default_rng(7)
    # away from 0 and from each other, so that no kink of relu or max-pool lies within a difference step
    xs = []
    for shape in example.inputs:
        values = np.linspace(-1, 1, 3 * int(np.prod(shape))) + 0.0005
        xs.append(draw.permutation(values).reshape(3, *shape))
    weights = {
        name: np.abs(draw.standard_normal(spec.shape)) + 0.5
        if spec.role == "statistic"
        else draw.standard_normal(spec.shape)
        for name, spec in layer.weights(*example.inputs).items()
    }
    return layer, weights, xs


NORMALISING = [
    case
    for case in PLAIN
    if PARSE.validate_python(case.values[1].layer).normalises(1, *case.values[1].inputs) is not None
]


@pytest.mark.parametrize(("kind", "example"), PLAIN)
def test_a_layer_that_takes_no_means_treats_each_picture_alone_in_training_too(
    kind: type[Layer], example: Example
) -> None:
    layer, weights, xs = build(example)
    of_batch = layer.normalises(1, *example.inputs) != layer.normalises(3, *example.inputs)
    together = layer.forward(weights, *xs, context=Context(statistics="batch", node="layer"))[0]
    alone = layer.forward(weights, *(x[:1] for x in xs), context=Context(statistics="batch", node="layer"))[0]
    assert np.allclose(alone[0], together[0], rtol=1e-12, atol=1e-12) != of_batch


@pytest.mark.parametrize(("kind", "example"), CASES)
def test_an_example_survives_json(kind: type[Layer], example: Example) -> None:
    layer = PARSE.validate_python(example.layer)
    assert type(layer) is kind
    document = layer.model_dump_json()
    assert PARSE.validate_json(document) == layer


@pytest.mark.parametrize(("kind", "example"), CASES)
def test_an_unknown_key_is_refused(kind: type[Layer], example: Example) -> None:
    with pytest.raises(ValidationError, match="extra_forbidden"):
        PARSE.validate_python({**example.layer, "no_such_key": 1})


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_tells_formula_source_and_purpose(kind: type[Layer]) -> None:
    assert kind.formula
    assert kind.source
    assert kind.__doc__
    assert kind.examples
    assert set(kind.model_fields) - {"type"} <= set(descriptions(kind))


@pytest.mark.parametrize(("kind", "example"), PLAIN)
def test_a_weight_tells_its_role_and_its_axes(kind: type[Layer], example: Example) -> None:
    layer = PARSE.validate_python(example.layer)
    out = layer.output_shape(*example.inputs)
    for name, spec in layer.weights(*example.inputs).items():
        assert len(set(spec.axes)) == len(spec.axes) == len(spec.shape), name
        sizes = dict(zip(spec.axes, spec.shape, strict=True))
        # the rest follows from the layer's arithmetic
        assert sizes.get("out", out[-1]) == out[-1]
        assert sizes.get("channels", out[-1]) in (out[-1], 1)
        assert example.inputs[0][-1] % sizes.get("in", 1) == 0
        assert spec.role == "parameter" or not (spec.trainable or spec.decays)
        array = np.arange(np.prod(spec.shape)).reshape(spec.shape)
        wanted = [axis for axis in TORCH_ORDER if axis in spec.axes]
        turned = array.transpose(spec.order(wanted))
        assert turned.shape == tuple(sizes[axis] for axis in wanted)
        np.testing.assert_array_equal(turned.transpose([wanted.index(axis) for axis in spec.axes]), array)


@pytest.mark.parametrize("statistics", STATISTICS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("kind", "example"), PLAIN)
def test_shape_and_dtype_are_as_declared(
    kind: type[Layer], example: Example, dtype: type, statistics: Statistics
) -> None:
    layer, weights, xs = build(example)
    weights = {name: weight.astype(dtype) for name, weight in weights.items()}
    xs = [x.astype(dtype) for x in xs]
    kept = [x.copy() for x in xs]
    context = Context(statistics=statistics, records=True, node="layer", workspace=Workspace())
    y, saved = layer.forward(weights, *xs, context=context)
    assert y.shape == (3, *layer.output_shape(*example.inputs))
    assert y.dtype == dtype
    for x, before in zip(xs, kept, strict=True):
        np.testing.assert_array_equal(x, before)
    dy = np.ones_like(y)
    dxs, gradients = layer.backward(weights, saved, dy, context=context)
    assert (dy == 1).all()
    for x, dx, before in zip(xs, dxs, kept, strict=True):
        assert dx is not None
        assert (dx.shape, dx.dtype) == (x.shape, dtype)
        np.testing.assert_array_equal(x, before)
    trained = {name for name, spec in layer.weights(*example.inputs).items() if spec.trainable}
    assert set(gradients) == trained
    for name, gradient in gradients.items():
        assert (gradient.shape, gradient.dtype) == (weights[name].shape, dtype)
    assert statistics == "batch" or not context.updates
    for name, value in context.updates.items():
        assert value.dtype == dtype
        assert name.removeprefix("layer/") in weights


@pytest.mark.parametrize("statistics", STATISTICS)
@pytest.mark.parametrize(("kind", "example"), PLAIN)
def test_gradients_are_the_numeric_ones(kind: type[Layer], example: Example, statistics: Statistics) -> None:
    layer, weights, xs = build(example)
    context = Context(statistics=statistics, records=True, seed=3, node="layer")

    def forward() -> np.ndarray:
        return layer.forward(weights, *xs, context=context)[0]

    y, saved = layer.forward(weights, *xs, context=context)
    dy = np.random.default_rng(1).standard_normal(y.shape)
    dxs, gradients = layer.backward(weights, saved, dy, context=context)
    for x, dx in zip(xs, dxs, strict=True):
        np.testing.assert_allclose(dx, numeric_gradient(forward, x, dy), rtol=1e-6, atol=1e-7)
    for name, gradient in gradients.items():
        expected = numeric_gradient(forward, weights[name], dy)
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("pictures", [1, 3])
@pytest.mark.parametrize(("kind", "example"), NORMALISING)
def test_a_layer_tells_over_how_many_numbers_it_normalises(
    kind: type[Layer], example: Example, pictures: int
) -> None:
    """An output depends on the numbers that it shares a mean with and on no others; on none if it is alone."""
    layer, weights, xs = build(example)
    x = xs[0][:pictures]
    shared = layer.normalises(pictures, *example.inputs)
    assert shared is not None
    context = Context(statistics="batch", node="layer")
    felt = np.zeros(x.shape, np.bool_)
    y = layer.forward(weights, x, context=context)[0]
    for place in np.ndindex(x.shape):
        changed = x.copy()
        changed[place] += 0.1
        felt[place] = abs(layer.forward(weights, changed, context=context)[0].flat[0] - y.flat[0]) > 1e-12
    assert np.count_nonzero(felt) == (shared if shared > 1 else 0)


@pytest.mark.parametrize(("kind", "example"), PLAIN)
def test_inference_treats_each_picture_alone(kind: type[Layer], example: Example) -> None:
    layer, weights, xs = build(example)
    together = layer.forward(weights, *xs, context=Context(node="layer"))[0]
    for number in range(3):
        alone = layer.forward(weights, *(x[number : number + 1] for x in xs), context=Context(node="layer"))[
            0
        ]
        np.testing.assert_allclose(alone[0], together[number], rtol=1e-12, atol=1e-12)


class Shares:
    """Sums arrays over threads that each hold a share of one batch."""

    def __init__(self, count: int) -> None:
        self.barrier = threading.Barrier(count)
        self.parts: dict[int, np.ndarray] = {}

    def reducer(self, number: int) -> Callable[[np.ndarray], np.ndarray]:
        def reduce(array: np.ndarray) -> np.ndarray:
            self.parts[number] = array
            self.barrier.wait(10)
            total = sum(self.parts[key] for key in sorted(self.parts))
            self.barrier.wait(10)
            return total

        return reduce


@pytest.mark.parametrize(("kind", "example"), PLAIN)
def test_two_shares_of_a_batch_equal_the_whole(kind: type[Layer], example: Example) -> None:
    layer, weights, xs = build(example)
    whole = Context(statistics="batch", records=True, seed=5, node="n")
    y, saved = layer.forward(weights, *xs, context=whole)
    dy = np.random.default_rng(1).standard_normal(y.shape)
    dxs, gradients = layer.backward(weights, saved, dy, context=whole)

    shares = Shares(2)

    def run(number: int, part: slice) -> tuple:
        context = Context(
            statistics="batch",
            records=True,
            seed=5,
            node="n",
            first_sample=part.start,
            reducer=shares.reducer(number),
        )
        share_y, kept = layer.forward(weights, *(x[part] for x in xs), context=context)
        return share_y, *layer.backward(weights, kept, dy[part], context=context), context.updates

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(run, (0, 1), (slice(0, 1), slice(1, 3))))
    close = {"rtol": 1e-10, "atol": 1e-12}
    np.testing.assert_allclose(np.concatenate([result[0] for result in results]), y, **close)
    for number, dx in enumerate(dxs):
        np.testing.assert_allclose(np.concatenate([result[1][number] for result in results]), dx, **close)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(sum(result[2][name] for result in results), gradient, **close)
    for result in results:
        for name, value in whole.updates.items():
            np.testing.assert_allclose(result[3][name], value, **close)


@pytest.mark.parametrize(("kind", "example"), PLAIN)
def test_a_workspace_changes_no_bit(kind: type[Layer], example: Example) -> None:
    layer, weights, xs = build(example)
    fresh = Context(statistics="batch", records=True, node="layer")
    reused = Context(statistics="batch", records=True, node="layer", workspace=Workspace())
    for _ in range(2):
        y, saved = layer.forward(weights, *xs, context=reused)
        dxs, gradients = layer.backward(weights, saved, np.ones_like(y), context=reused)
    expected, saved = layer.forward(weights, *xs, context=fresh)
    expected_dxs, expected_gradients = layer.backward(weights, saved, np.ones_like(expected), context=fresh)
    np.testing.assert_array_equal(y, expected)
    for dx, other in zip(dxs, expected_dxs, strict=True):
        np.testing.assert_array_equal(dx, other)
    for name, gradient in gradients.items():
        np.testing.assert_array_equal(gradient, expected_gradients[name])


@pytest.mark.parametrize("statistics", STATISTICS)
@pytest.mark.parametrize(("kind", "example"), PLAIN)
def test_what_is_not_wanted_changes_nothing_else(
    kind: type[Layer], example: Example, statistics: Statistics
) -> None:
    """A gradient is the same to the bit whichever others are wanted with it."""
    layer, weights, xs = build(example)
    everything = Context(statistics=statistics, records=True, node="layer")
    y, saved = layer.forward(weights, *xs, context=everything)
    dy = np.random.default_rng(1).standard_normal(y.shape)
    dxs, gradients = layer.backward(weights, saved, dy, context=everything)
    for wanted in [None, *gradients]:
        names = frozenset() if wanted is None else frozenset({f"layer/{wanted}"})
        context = replace(everything, wanted=names, wants_input=wanted is None)
        y, saved = layer.forward(weights, *xs, context=context)
        some_dxs, some = layer.backward(weights, saved, dy, context=context)
        if wanted is None:
            for dx, other in zip(dxs, some_dxs, strict=True):
                np.testing.assert_array_equal(other, dx)
        else:
            np.testing.assert_array_equal(some[wanted], gradients[wanted])
        assert set(some) <= {wanted}, "a gradient was computed that nobody wanted"


def small_network(example: Example) -> Network:
    """Return a network that makes of one picture whatever the layer of the example takes."""
    shape = next((shape for shape in example.inputs if len(shape) == 3), (2, 2, 1))
    layers: list[dict] = []
    for number, wanted in enumerate(example.inputs):  # something of the wanted shape, from the one picture
        vector = [{"type": "flatten"}, {"type": "dense", "units": wanted[0], "name": f"from_{number}"}]
        pixels = [{"type": "conv2d", "kernel_size": 1, "filters": wanted[-1], "name": f"from_{number}"}]
        made = vector if len(wanted) == 1 else pixels
        layers += [{**made[0], "inputs": ["input"]}, *made[1:]]
    layers.append({**example.layer, "inputs": [f"from_{number}" for number in range(len(example.inputs))]})
    architecture = Architecture.model_validate({"input_shape": shape, "layers": layers})
    assert Architecture.model_validate_json(architecture.model_dump_json()) == architecture
    return Network.build(architecture)


def float64_weights(network: Network) -> dict[str, np.ndarray]:
    """Return weights of which none is what it starts as: running statistics neither 0 nor 1."""
    draw = np.random.default_rng(3)
    weights = network.initial_weights(seed=2, dtype=np.float64)
    for name, spec in network.weight_specs.items():
        if spec.role == "statistic":
            weights[name] += draw.random(spec.shape)
    return weights


@pytest.mark.parametrize(("kind", "example"), CASES)
def test_a_network_of_it_has_the_numeric_gradients(kind: type[Layer], example: Example) -> None:
    """Every part works as a node, in training and in inference: weights, the picture, the nodes in between."""
    network = small_network(example)
    weights = float64_weights(network)
    x = np.random.default_rng(4).standard_normal((2, *network.input_shape))
    inner = {f"from_{number}" for number in range(len(example.inputs))}
    trained = {name for name, spec in network.weight_specs.items() if spec.trainable}
    wanted = frozenset({"input"} | inner | trained)
    compared: dict[str, np.ndarray] = {}
    for statistics in STATISTICS:
        context = Context(statistics=statistics, records=True, seed=1, wanted=wanted)
        tape = network.forward(weights, x, context)
        assert tape.output.shape == (2, *network.output_shape)
        dy = np.random.default_rng(5).standard_normal(tape.output.shape)
        gradients = network.backward(tape, dy)
        assert set(gradients) == wanted
        found = gradients | {"the output": tape.output}
        # Most layers compute the same in inference, and that has been compared already.
        if not compared or any((found[name] != array).any() for name, array in compared.items()):
            compare_with_numeric(network, weights, x, context, gradients, dy, inner)
        compared = found


def compare_with_numeric(
    network: Network,
    weights: dict[str, np.ndarray],
    x: np.ndarray,
    context: Context,
    gradients: dict[str, np.ndarray],
    dy: np.ndarray,
    inner: set[str],
) -> None:
    """Compare gradients by the weights, by the picture, and by what is added to the outputs of inner nodes."""
    outputs = network.forward(weights, x, context).outputs
    shifts = {name: np.zeros_like(outputs[name]) for name in inner}

    def forward() -> np.ndarray:
        output = x
        for node, _, output, _ in network.run(weights, x, context):
            if node.name in shifts:
                output += shifts[node.name]
        return output

    for name, gradient in gradients.items():
        array = x if name == "input" else shifts[name] if name in inner else weights[name]
        expected = numeric_gradient(forward, array, dy)
        np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-6, err_msg=name)
