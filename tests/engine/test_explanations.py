"""Explanations are tested by what must hold of them: completeness, equalities between methods, and slow loops."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import EngineError, GraphError, NonFiniteError
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.inputs.preprocessing import Preprocessing
from engine.layers import Context
from engine.model.explanations import EXPLANATIONS, Explanation, Finding, explain
from engine.model.explanations import score as scores
from engine.model.explanations.class_activation import GradCam
from engine.model.explanations.gradients import Gradient, InputXGradient, SmoothGrad
from engine.model.explanations.integrated import MOST_STEPS, IntegratedGradients
from engine.model.explanations.occlusion import Occlusion
from engine.model.model_file import Model, read_model
from engine.presets.resnet import RESNET_20
from tests.digits import PACKAGED, load_digits
from tests.engine import reference

GOLDEN = Path(__file__).parent / "golden" / "explanations.npz"
SHAPE = (9, 8, 3)
LAYERS: list[dict[str, Any]] = [
    {"type": "conv2d", "filters": 4, "kernel_size": 3, "padding": "same", "activation": "softplus"},
    {"type": "batch_norm"},
    {"type": "average_pool2d", "pool_size": 2},
    {"type": "conv2d", "filters": 5, "kernel_size": 3, "padding": "same", "activation": "tanh"},
    {"type": "dropout", "rate": 0.5},
    {"type": "flatten"},
    {"type": "dense", "units": 3},
]
PREPROCESSING = Preprocessing(mean=(0.5, 0.4, 0.3), deviation=(0.25, 0.2, 0.3))
CASES = [
    pytest.param(kind.model_validate(example), id=f"{kind.tag()}-{number}")
    for kind in EXPLANATIONS
    for number, example in enumerate(kind.examples)
]


def build(layers: list[dict[str, Any]], shape: tuple[int, int, int] = SHAPE) -> Network:
    return Network.build(Architecture.model_validate({"input_shape": shape, "layers": layers}))


def drawn(network: Network, seed: int = 1, dtype: type = np.float64) -> dict[str, np.ndarray]:
    """Draw weights, biases and statistics too."""
    weights = network.initial_weights(seed, dtype)
    generator = np.random.default_rng(seed)
    for array in weights.values():
        if array.ndim == 1:
            array[...] = generator.uniform(0.3, 0.9, array.shape)
    return weights


def picture(shape: tuple[int, int, int] = SHAPE, seed: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def found(
    method: Explanation,
    network: Network,
    weights: dict[str, np.ndarray],
    x: np.ndarray,
    index: int | None = 1,
    preprocessing: Preprocessing = PREPROCESSING,
) -> Finding:
    *waits, finding = explain(method, network, weights, preprocessing, x, index)
    assert waits == [None] * len(waits)
    assert finding is not None
    return finding


def score_of(network: Network, weights: dict[str, np.ndarray], x: np.ndarray, index: int = 1) -> float:
    return float(network.forward(weights, x[np.newaxis], Context()).output[0, index])


@pytest.fixture(scope="module")
def digits() -> Model:
    return read_model(PACKAGED.parent / "model_example.safetensors")


def a_digit(model: Model, number: int = 0) -> np.ndarray:
    return model.preprocessing.apply(load_digits().images[number : number + 1])[0]


@pytest.mark.parametrize("method", CASES)
def test_every_method_keeps_its_contract(method: Explanation, monkeypatch: pytest.MonkeyPatch) -> None:
    network = build(LAYERS)
    weights, x = drawn(network), picture()
    method.check(network)
    given = x.copy()
    finding = found(method, network, weights, x)
    assert np.array_equal(x, given)
    assert finding.explained.score == pytest.approx(score_of(network, weights, x), rel=1e-12)
    values = finding.explained.values
    assert values.shape == (*SHAPE[:2], SHAPE[2] if method.per_channel else 1)
    assert values.dtype == x.dtype
    drawn_map = method.map(values)
    assert drawn_map.shape == SHAPE[:2]
    assert method.signed or drawn_map.min() >= 0
    most = method.passes(network)
    assert finding.passes.forward <= most.forward
    assert finding.passes.backward <= most.backward
    # the same in whatever batches the passes run, and for float32
    monkeypatch.setattr(scores, "_MOST_PICTURES", 3)
    again = found(method, network, weights, x).explained.values
    np.testing.assert_allclose(again, values, rtol=1e-9, atol=1e-12)
    single = {name: array.astype(np.float32) for name, array in weights.items()}
    rounded = found(method, network, single, x.astype(np.float32)).explained.values
    assert rounded.dtype == np.float32
    np.testing.assert_allclose(rounded, values, atol=1e-3 * np.abs(values).max())


@pytest.mark.parametrize("method", CASES)
def test_the_predicted_output_is_explained_by_default(method: Explanation) -> None:
    network = build(LAYERS)
    weights, x = drawn(network), picture()
    largest = int(network.forward(weights, x[np.newaxis], Context()).output.argmax())
    default = found(method, network, weights, x, None)
    named = found(method, network, weights, x, largest)
    assert default.index == named.index == largest
    assert np.array_equal(default.explained.values, named.explained.values)
    assert default.passes.forward == named.passes.forward + 1


def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN, allow_pickle=False) as file:
        return dict(file)


def test_every_method_has_answers_of_captum() -> None:
    told = golden()
    names = {json.loads(told[name].item())["type"] for name in told if name.endswith("/method")}
    assert names == {kind.tag() for kind in EXPLANATIONS}, "run make parity"


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-4), (np.float64, 1e-9)])
def test_values_are_those_of_captum(dtype: type, tolerance: float) -> None:
    told = golden()
    shape = told["x"].shape
    network = build(json.loads(told["layers"].item()), shape)
    weights = {name[2:]: array.astype(dtype) for name, array in told.items() if name.startswith("w ")}
    preprocessing = Preprocessing.model_validate_json(told["preprocessing"].item())
    kinds = {kind.tag(): kind for kind in EXPLANATIONS}
    for name in [name for name in told if name.endswith("/method")]:
        record = json.loads(told[name].item())
        method = kinds[record["type"]].model_validate(record)
        expected = told[name.replace("method", "values")]
        x, index = told["x"].astype(dtype), int(told["class"])
        values = found(method, network, weights, x, index, preprocessing).explained.values
        # Captum's occlusion divides in float32
        allowed = max(tolerance, 1e-5) if expected.dtype == np.float32 else tolerance
        atol = allowed * float(np.abs(expected).max())
        np.testing.assert_allclose(values, expected, rtol=0, atol=atol, err_msg=str(record))


def test_the_gradient_is_that_of_finite_differences() -> None:
    network = build(LAYERS)
    weights, x = drawn(network), picture()
    values = found(Gradient(), network, weights, x).explained.values
    numeric = reference.numeric_gradient(
        lambda: np.array(score_of(network, weights, x)), x, np.array(1.0), 1e-5
    )
    np.testing.assert_allclose(values, numeric, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("baseline", ["mean", "black", "white"])
def test_integrated_gradients_sum_to_the_difference_of_scores(baseline: Any) -> None:
    network = build(LAYERS)
    weights, x = drawn(network), picture()
    level = {"mean": (0, 0, 0), "black": (-2, -2, -1), "white": (2, 3, 7 / 3)}[baseline]
    empty = np.broadcast_to(np.array(level, float), SHAPE)
    difference = score_of(network, weights, x) - score_of(network, weights, empty)
    explained = found(IntegratedGradients(baseline=baseline), network, weights, x).explained
    assert explained.checks["score_difference"] == pytest.approx(difference)
    assert explained.checks["complete"] is True
    assert abs(explained.values.sum() - difference) <= 1e-3 * max(abs(difference), 1)
    assert explained.checks["residual"] == pytest.approx(abs(explained.values.sum() - difference))


def test_too_few_steps_are_admitted_and_doubled(digits: Model) -> None:
    network = Network.build(digits.architecture).without_final(digits.loss.link)
    x = a_digit(digits)
    one = found(IntegratedGradients(steps=1), network, digits.weights, x, None, digits.preprocessing)
    assert (one.explained.checks["steps"], one.explained.checks["complete"]) == (1, False)
    assert one.passes.backward == 1
    for index, completes in ((9, True), (4, False)):
        finding = found(IntegratedGradients(), network, digits.weights, x, index, digits.preprocessing)
        checks = finding.explained.checks
        assert finding.passes.backward == 2 * checks["steps"] - 32
        allowed = 1e-3 * max(abs(checks["score_difference"]), 1)
        assert checks["complete"] == (checks["residual"] <= allowed)
        assert checks["complete"] is completes
        assert completes or checks["steps"] == MOST_STEPS
        assert checks["residual"] < 0.02


def test_without_biases_integrated_gradients_are_input_times_gradient() -> None:
    layers = [
        {"type": "conv2d", "filters": 6, "kernel_size": 3, "bias": False, "activation": "relu"},
        {"type": "max_pool2d", "pool_size": 2},
        {"type": "flatten"},
        {"type": "dense", "units": 8, "bias": False, "activation": "relu"},
        {"type": "dense", "units": 3, "bias": False},
    ]
    network = build(layers)
    weights, x = network.initial_weights(3, np.float64), picture()
    product = found(InputXGradient(), network, weights, x).explained
    integrated = found(IntegratedGradients(), network, weights, x).explained
    np.testing.assert_allclose(integrated.values, product.values, rtol=1e-9, atol=1e-12)
    assert product.checks["sum"] == pytest.approx(product.checks["score_difference"], rel=1e-9)
    assert integrated.checks["steps"] == 32


def test_smooth_grad_is_the_mean_of_gradients_under_noise() -> None:
    network = build(LAYERS)
    weights, x = drawn(network), picture()
    method = SmoothGrad(samples=7, noise=0.2, seed=5)
    noisy = np.stack([method.noisy(x, number) for number in range(7)])
    expected = np.mean([found(Gradient(), network, weights, each).explained.values for each in noisy], axis=0)
    np.testing.assert_allclose(found(method, network, weights, x).explained.values, expected, rtol=1e-9)
    many = np.stack([method.noisy(x, number) for number in range(300)]) - x
    assert many.std() == pytest.approx(0.2 * (x.max() - x.min()), rel=0.02)
    assert abs(many.mean()) < 0.02
    other = found(SmoothGrad(samples=7, noise=0.2, seed=6), network, weights, x).explained.values
    assert not np.allclose(other, expected)


@pytest.mark.parametrize("drops", [False, True])
def test_grad_cam_before_global_pooling_is_the_class_activation_map(drops: bool) -> None:
    layers = [
        {"type": "conv2d", "filters": 6, "kernel_size": 3, "stride": 2, "activation": "relu"},
        {"type": "global_average_pool2d"},
        *([{"type": "dropout", "rate": 0.4}] if drops else []),
        {"type": "dense", "units": 3, "name": "head"},
    ]
    network = build(layers, (9, 13, 3))
    weights, x = drawn(network), picture((9, 13, 3))
    maps = next(
        run.output[0]
        for run in network.run(weights, x[np.newaxis], Context())
        if run.node.name == "conv2d_1/activation"
    )
    assert maps.shape == (4, 6, 6)
    coarse = np.zeros((4, 6))
    for row in range(4):
        for column in range(6):
            for channel in range(6):
                coarse[row, column] += weights["head/weight"][channel, 1] * maps[row, column, channel]
    coarse = np.maximum(coarse, 0) / 24
    assert coarse.max() > 0
    explained = found(GradCam(), network, weights, x).explained
    assert explained.node == "conv2d_1/activation"
    assert explained.checks["class_activation_difference"] < 1e-12
    np.testing.assert_allclose(explained.values[:, :, 0], enlarged(coarse, 9, 13), rtol=1e-9, atol=1e-12)


def enlarged(maps: np.ndarray, height: int, width: int) -> np.ndarray:
    """Interpolate between the centres of cells, pixel by pixel."""

    def places(cells: int, size: int) -> list[float]:
        return [min(max((pixel + 0.5) * cells / size - 0.5, 0), cells - 1) for pixel in range(size)]

    rows, columns = places(maps.shape[0], height), places(maps.shape[1], width)
    across = np.array([np.interp(columns, range(maps.shape[1]), line) for line in maps])
    return np.array([np.interp(rows, range(maps.shape[0]), line) for line in across.T]).T


def test_grad_cam_elsewhere_weighs_maps_by_their_mean_gradients() -> None:
    network = build(LAYERS)
    weights, x = drawn(network), picture()
    explained = found(GradCam(node="average_pool2d_1"), network, weights, x).explained
    assert (explained.node, explained.checks) == ("average_pool2d_1", {})
    runs = {run.node.name: run for run in network.run(weights, x[np.newaxis], Context())}
    maps = runs["average_pool2d_1"].output[0]
    rest = [
        node for node in network.nodes if list(runs).index(node.name) > list(runs).index("average_pool2d_1")
    ]

    def score() -> np.ndarray:
        y = maps[np.newaxis]
        for node in rest:
            y, _ = node.layer.forward(node.local(weights), y, context=Context(node=node.name))
        return y[0, 1]

    numeric = reference.numeric_gradient(score, maps, np.array(1.0), 1e-5)
    coarse = np.maximum((maps * numeric.mean(axis=(0, 1))).sum(axis=2), 0)
    np.testing.assert_allclose(explained.values[:, :, 0], enlarged(coarse, *SHAPE[:2]), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(("window", "stride"), [(None, None), (1, 1), (3, 2), (4, 3), (8, 8)])
def test_occlusion_is_the_difference_of_predictions(window: int | None, stride: int | None) -> None:
    network = build(LAYERS)
    weights, x = drawn(network), picture()
    method = Occlusion(window=window, stride=stride, baseline="white")
    side, step = window or 1, stride or 1
    falls: list[list[list[float]]] = [[[] for _ in range(SHAPE[1])] for _ in range(SHAPE[0])]
    for top in range(0, SHAPE[0], step):
        for left in range(0, SHAPE[1], step):
            if (top and top + side - step >= SHAPE[0]) or (left and left + side - step >= SHAPE[1]):
                continue  # the square before reached the end
            covered = x.copy()
            covered[top : top + side, left : left + side] = (2, 3, 7 / 3)
            fall = score_of(network, weights, x) - score_of(network, weights, covered)
            for row in range(top, min(top + side, SHAPE[0])):
                for column in range(left, min(left + side, SHAPE[1])):
                    falls[row][column].append(fall)
    expected = [[np.mean(each) for each in row] for row in falls]
    values = found(method, network, weights, x).explained.values[:, :, 0]
    np.testing.assert_allclose(values, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", EXPLANATIONS, ids=lambda kind: kind.tag())
def test_maps_change_when_weights_are_drawn_anew_from_the_top(kind: type[Explanation], digits: Model) -> None:
    """Adebayo et al. 2018, Sanity checks for saliency maps: a map that stays the same explains no model."""
    network = Network.build(digits.architecture).without_final(digits.loss.link)
    x, method = a_digit(digits), kind()
    if isinstance(method, IntegratedGradients):
        method = IntegratedGradients(steps=16)

    def map_of(weights: dict[str, np.ndarray]) -> np.ndarray:
        finding = found(method, network, weights, x, 1, digits.preprocessing)
        return method.map(finding.explained.values).ravel()

    trained, weights, anew = map_of(digits.weights), dict(digits.weights), network.initial_weights(9)
    for node in [node for node in reversed(network.nodes) if node.weights]:
        weights |= {name: anew[name] for name in node.weight_names}
        ranks = [values.argsort().argsort() for values in (trained, map_of(weights))]
        assert np.corrcoef(*ranks)[0, 1] < 0.9, node.name


def test_grad_cam_of_resnet_20_takes_few_passes() -> None:
    network = Network.build(RESNET_20.architecture()).without_final("softmax")
    x = picture((32, 32, 3)).astype(np.float32)
    finding = found(GradCam(), network, network.initial_weights(0), x, None)
    assert finding.passes.total == 3
    assert finding.explained.checks["class_activation_difference"] < 1e-5


def test_what_cannot_be_explained_so_is_refused() -> None:
    network, plain = build(LAYERS), build([{"type": "flatten"}, {"type": "dense", "units": 3}])
    for method, refused, path in [
        (GradCam(), plain, ("method",)),
        (GradCam(node="dense_1"), network, ("node",)),
        (GradCam(node="none"), network, ("node",)),
        (Occlusion(window=9), network, ("window",)),
        (Occlusion(window=4, stride=5), network, ("stride",)),
        (Occlusion(stride=2), network, ("stride",)),
    ]:
        with pytest.raises(EngineError) as caught:
            method.check(refused)
        assert caught.value.path == path
        assert caught.value.hint
    with pytest.raises(GraphError):
        scores.Score(network, drawn(network), PREPROCESSING, 0).slope(picture()[np.newaxis], "none")


def test_numbers_that_are_not_finite_are_no_explanation() -> None:
    network = build(LAYERS)
    with pytest.raises(NonFiniteError), np.errstate(all="ignore"):
        found(Gradient(), network, drawn(network), picture() * np.inf)


def test_an_option_of_several_methods_means_the_same_in_each() -> None:
    """A query has one parameter for it."""
    fields: dict[str, list[Any]] = {}
    for kind in EXPLANATIONS:
        for name, field in kind.model_fields.items():
            if name != "type":
                fields.setdefault(name, []).append((field.annotation, field.metadata))
    assert len(fields["baseline"]) > 1
    for name, found_in in fields.items():
        assert all(each == found_in[0] for each in found_in), name
