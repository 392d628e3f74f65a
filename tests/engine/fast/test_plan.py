"""Plans against the plain executor: every preset that is small enough, every layer, odd sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.arrays import Array
from engine.fast.layout.gemm import OPENBLAS_EDGE, Tuning
from engine.fast.plan import Plan
from engine.fast.steps.convolution import ConvolutionStep
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.layers import LAYERS, Context, Example
from engine.presets import PRESETS, Preset
from engine.training.transfer import freeze
from engine.workspace import Workspace
from tests.engine.fast.nets import presets

CUT = Tuning(gemm_edge=OPENBLAS_EDGE)
CONV = {"type": "conv2d", "filters": 16, "kernel_size": 3, "padding": "same"}


def network(layers: list[dict[str, Any]], shape: tuple[int, ...]) -> Network:
    return Network.build(Architecture.model_validate({"input_shape": shape, "layers": layers}))


def compare(
    net: Network,
    batch: int = 4,
    tolerance: float = 2e-5,
    *,
    flips: float = 0,
    seed: int = 0,
    tuning: Tuning = CUT,
) -> Plan:
    """Train two steps by the plan and by the plain executor in float64, from the same weights.

    Where single numbers may fall on the other side of a ReLU, gradients are compared as wholes, up to `flips`.
    """
    draw = np.random.default_rng(seed)
    weights = net.initial_weights(3)
    for name, weight in weights.items():
        if name.endswith(("/bias", "/running_mean")):  # which would begin as zeros
            weight += draw.uniform(0.1, 0.3, weight.shape).astype(np.float32)
        elif name.endswith("/running_variance"):
            weight *= draw.uniform(0.5, 2, weight.shape).astype(np.float32)
    exact = {name: weight.astype(np.float64) for name, weight in weights.items()}
    plan = Plan(net, batch, tuning, training=True)
    workspace = Workspace()
    for step in range(2):
        x = draw.standard_normal((batch, *net.input_shape)).astype(np.float32)
        ours = Context(statistics="batch", records=True, seed=1, step=step, workspace=workspace)
        theirs = Context(statistics="batch", records=True, seed=1, step=step)
        plan.prepare(weights)
        tape = plan.forward(x, ours)
        expected = net.forward(exact, x.astype(np.float64), theirs)
        close(tape.output, expected.output, tolerance, "output")
        dy = draw.standard_normal(tape.output.shape).astype(np.float32)
        gradients = plan.backward(tape, dy)
        wanted = net.backward(expected, dy.astype(np.float64))
        assert set(gradients) == set(wanted)
        for name, gradient in gradients.items():
            assert gradient.dtype == np.float32
            (near if flips else close)(gradient, wanted[name], flips or tolerance, name)
        assert set(ours.updates) == set(theirs.updates)
        for name, value in ours.updates.items():
            close(value, theirs.updates[name], tolerance, name)
    inference = Plan(net, batch, tuning, training=False)
    inference.prepare(weights)
    close(
        inference.scores(x),
        net.forward(exact, x.astype(np.float64), Context()).output,
        tolerance,
        "inference",
    )
    return plan


def close(found: np.ndarray, wanted: np.ndarray, tolerance: float, what: str) -> None:
    # a bias before batch norm has no gradient but rounding: that is measured against 0.05
    scale = max(np.abs(wanted).max(), 0.05)
    assert np.abs(found - wanted).max() / scale < tolerance, what


def near(found: np.ndarray, wanted: np.ndarray, tolerance: float, what: str) -> None:
    scale = max(np.linalg.norm(wanted), 0.05 * wanted.size**0.5)
    assert np.linalg.norm(found - wanted) / scale < tolerance, what


@pytest.mark.parametrize("kind", LAYERS, ids=lambda kind: kind.tag())
def test_every_layer_runs_in_a_plan(kind) -> None:
    for example in kind.examples:
        compare(around(example), tolerance=5e-4)


def around(example: Example) -> Network:
    """Put an example into a network, fed with what it wants from one picture."""
    shape = next((shape for shape in example.inputs if len(shape) == 3), (2, 2, 1))
    layers: list[dict[str, Any]] = []
    for number, wanted in enumerate(example.inputs):
        vector = [{"type": "flatten"}, {"type": "dense", "units": wanted[0], "name": f"from_{number}"}]
        size = (
            [{"type": "adaptive_average_pool2d", "output_size": list(wanted[:2])}] if len(wanted) == 3 else []
        )
        pixels = [
            *size,
            {"type": "conv2d", "kernel_size": 1, "filters": wanted[-1], "name": f"from_{number}"},
        ]
        made = vector if len(wanted) == 1 else pixels
        layers += [{**made[0], "inputs": ["input"]}, *made[1:]]
    layers.append({**example.layer, "inputs": [f"from_{number}" for number in range(len(example.inputs))]})
    return network(layers, shape)


@pytest.mark.parametrize("preset", presets())
def test_every_preset_agrees_with_the_plain_executor(preset: Preset) -> None:
    """Outputs closely, gradients as wholes: one number beyond a ReLU shifts those of all layers before it."""
    norms = any("batch_norm" in node.layer.type for node in Network.build(preset.architecture()).nodes)
    # small pictures, but batch norm of a single pixel has nothing to go by
    size = max(64 if norms else 32, preset.smallest)
    shape = None if preset.input_shape[0] <= size else (size, size, 3)
    compare(Network.build(preset.architecture(shape, classes=10)), tolerance=1e-3, flips=0.1)


@pytest.mark.parametrize("name", ["lenet-5", "vgg-small"])
def test_the_presets_of_the_benchmarks_agree_with_the_plain_executor(name: str) -> None:
    preset = next(preset for preset in PRESETS if preset.name == name)
    plan = compare(Network.build(preset.architecture()), batch=6)
    assert any("max_pool" in choice for choice in plan.choices.values())


@pytest.mark.parametrize(
    ("name", "tolerance", "flips", "seed"),
    # MobileNetV2's last maps here are of 2x2 pixels: where one of them is near zero, and rounds to the other side of a
    # ReLU6, all gradients before it differ by some hundredths; which do depends on the processor. With the numbers of
    # this seed none does by any kernels of OpenBLAS for x86. A kernel that is wrong differs by more: a tap of nine that
    # is left out by a third
    [
        pytest.param("resnet-18", 1e-4, 0, 0, marks=pytest.mark.slow),
        ("squeezenet-1.1", 1e-4, 0, 0),
        pytest.param("mobilenet-v2", 1e-4, 0.1, 3, marks=pytest.mark.slow),
    ],
)
def test_large_presets_agree_with_the_plain_executor_on_small_pictures(
    name: str, tolerance: float, flips: float, seed: int
) -> None:
    preset = next(preset for preset in PRESETS if preset.name == name)
    small = preset.architecture(classes=10).model_copy(update={"input_shape": (49, 63, 3)})
    compare(Network.build(small), batch=3, tolerance=tolerance, flips=flips, seed=seed)


@pytest.mark.parametrize("batch", [1, 4, 5])
@pytest.mark.parametrize(
    "between",
    [[{"type": "flatten"}], [{"type": "global_average_pool2d"}, {"type": "dense", "units": 5, "name": "d"}]],
)
def test_a_sum_right_before_a_dense_layer(between: list[dict[str, Any]], batch: int) -> None:
    """In inference a column of ones beside the vectors brings in the bias: no sum may write to it."""
    layers = [{"type": "residual", "layers": [{"type": "conv2d", "filters": 4, "padding": "same"}]}, *between]
    if len(between) > 1:
        layers += [{"type": "dense", "units": 5, "name": "e"}, {"type": "add", "inputs": ["d", "e"]}]
    compare(network([*layers, {"type": "dense", "units": 3}], (6, 6, 4)), batch=batch)


FIRST = {**CONV, "filters": 4, "name": "a"}
NORM = {"type": "batch_norm", "name": "b"}


@pytest.mark.parametrize("activation", [None, "relu", "relu6"])
@pytest.mark.parametrize("behind", [None, "relu"])
def test_sums_of_batch_norms(activation: str | None, behind: str | None) -> None:
    """The mask of a batch norm's own ReLU is not that of the sum behind it."""
    add = {"type": "add", "name": "s", "inputs": ["a", "b"]}
    after = [] if behind is None else [{"type": behind}]
    layers = [FIRST, {**CONV, "filters": 4}, {**NORM, "activation": activation}, add, *after]
    compare(network([*layers, {"type": "flatten"}, {"type": "dense", "units": 3}], (8, 8, 3)), tolerance=1e-3)


@pytest.mark.parametrize("kind", ["add", "concatenate", "multiply", "divide"])
@pytest.mark.parametrize("norm", [False, True])
def test_a_map_that_is_read_twice_by_one_layer(kind: str, norm: bool) -> None:
    layers = [FIRST, *([NORM] if norm else [])]
    name = layers[-1]["name"]
    twice = {"type": kind, "name": "twice", "inputs": [name, name]}
    compare(network([*layers, twice, CONV], (6, 6, 3)), tolerance=1e-3)
    again = {"type": "add", "inputs": [name, "third"]}
    third = {**CONV, "filters": 8 if kind == "concatenate" else 4, "inputs": ["twice"], "name": "third"}
    if kind != "concatenate":
        compare(network([*layers, twice, third, again], (6, 6, 3)), tolerance=1e-3)


def test_what_learns_nothing_has_no_way_back() -> None:
    net = network([{"type": "max_pool2d"}, {"type": "global_average_pool2d"}], (8, 8, 3))
    plan = Plan(net, 2, CUT, training=True)
    plan.prepare({})
    tape = plan.forward(
        np.ones((2, 8, 8, 3), np.float32), Context(statistics="batch", records=True, workspace=Workspace())
    )
    assert plan.backward(tape, np.ones_like(tape.output)) == {}


def test_deep_networks_are_laid_out() -> None:
    net = network([FIRST, *([{"type": "gelu"}] * 1500)], (2, 2, 1))
    assert len(Plan(net, 1, CUT, training=True).choices) == 1501


@pytest.mark.parametrize(
    "patterns",
    [
        ("conv2d_1", "batch_norm_1", "residual_1/*", "residual_2/*"),  # the way back ends early
        ("residual_2/*", "residual_5/*"),  # it goes through layers that learn nothing
        ("conv2d_1", "batch_norm_1", "residual_1/body/*"),
        ("dense_1",),
    ],
)
def test_frozen_layers_are_passed_or_never_reached(patterns: tuple[str, ...]) -> None:
    preset = next(preset for preset in PRESETS if preset.name == "resnet-20")
    whole = Network.build(preset.architecture().model_copy(update={"input_shape": (12, 12, 3)}))
    frozen = freeze(whole, patterns)
    compare(frozen, batch=4, tolerance=1e-3)


@pytest.mark.parametrize("activation", [None, "relu", "relu6"])
@pytest.mark.parametrize("batch", [1, 5])
def test_frozen_batch_norms_use_and_keep_their_running_statistics(activation: str | None, batch: int) -> None:
    norm = {"type": "batch_norm", "activation": activation, "trainable": False}
    layers = [CONV, norm, {"type": "residual", "layers": [CONV, norm]}, norm, CONV, norm]
    head = [{"type": "flatten"}, {"type": "dense", "units": 3}, {"type": "batch_norm", "trainable": False}]
    plan = compare(network([*layers, *head], (8, 6, 3)), batch=batch, tolerance=1e-4)
    norms = {name: choice for name, choice in plan.choices.items() if "batch_norm" in name}
    assert norms.pop("batch_norm_4") == "layer: it normalises by running statistics; it normalises vectors"
    assert {choice.split()[0] for choice in norms.values()} == {"running_norm"}


@pytest.mark.parametrize("frozen", ["conv2d", "depthwise_conv2d", "dense"])
def test_nothing_is_held_for_gradients_of_frozen_weights(frozen: str) -> None:
    layers = {
        "conv2d": {**CONV, "filters": 64},
        "depthwise_conv2d": {"type": "depthwise_conv2d", "padding": "same", "kernel_size": 7},
        "dense": {"type": "dense", "units": 500},
    }
    first = [{"type": "flatten"}] if frozen == "dense" else []
    second = {**layers[frozen], "name": "middle", "activation": "relu"}
    last = [{"type": "dense", "units": 3}] if frozen == "dense" else [{**CONV, "filters": 1}]
    start = {**CONV, "filters": 24, "name": "first"}
    whole = network([start, *first, second, *last], (8, 8, 3))
    part = freeze(whole, ["middle"])
    compare(part)
    sizes = [Plan(net, 2, CUT, training=True).bytes for net in (whole, part)]
    assert sizes[0] - sizes[1] >= 0.9 * (whole.nodes[1 + len(first)].parameters * 4)


def test_a_layer_that_no_step_claims_says_why() -> None:
    layers = [{**CONV, "filters": 4, "groups": 2}, {"type": "gelu"}, {"type": "max_pool2d", "pool_size": 3}]
    choices = Plan(network(layers, (9, 9, 4)), 1, CUT, training=True).choices
    assert choices["conv2d_1"].startswith("layer: its filters see some of the channels")
    assert choices["gelu_1"] == "layer"
    assert choices["max_pool2d_1"] == "max_pool"


def test_the_way_back_ends_where_nothing_is_left_to_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    backward = ConvolutionStep.backward

    def counted(self: ConvolutionStep, *given: Any, **named: Any) -> Any:
        calls.append(self.nodes[0].name)
        return backward(self, *given, **named)

    monkeypatch.setattr(ConvolutionStep, "backward", counted)
    layers = [{**CONV, "name": f"conv_{number}", "activation": "relu"} for number in range(4)]
    net = network([*layers, {"type": "flatten"}, {"type": "dense", "units": 3}], (8, 8, 3))
    compare(freeze(net, ["conv_0", "conv_1"]))
    assert set(calls) == {"conv_2", "conv_3"}


@pytest.mark.parametrize("batch", [1, 3, 7])
@pytest.mark.parametrize("size", [(8, 8), (12, 10), (9, 7), (6, 5)])
def test_residual_nets_of_odd_sizes(size: tuple[int, int], batch: int) -> None:
    layers = [
        {**CONV, "bias": False},
        {"type": "batch_norm", "activation": "relu"},
        {
            "type": "residual",
            "layers": [
                {**CONV, "bias": False},
                {"type": "batch_norm", "activation": "relu"},
                CONV,
                {"type": "batch_norm"},
            ],
        },
        {
            "type": "residual",
            "layers": [{**CONV, "filters": 20, "stride": 2, "padding": 1}, {"type": "batch_norm"}],
            "shortcut": "projection",
        },
        {"type": "max_pool2d", "pool_size": 2},
        {"type": "global_average_pool2d"},
        {"type": "dense", "units": 5},
    ]
    compare(network(layers, (*size, 3)), batch, tolerance=1e-4)


def test_what_others_read_is_not_fused_away() -> None:
    """The pool's input feeds a second branch: it must exist in full."""
    layers = [
        {**CONV, "name": "c", "activation": "relu"},
        {"type": "max_pool2d"},
        {"type": "global_average_pool2d", "name": "left"},
        {"type": "global_average_pool2d", "name": "right", "inputs": ["c"]},
        {"type": "add", "inputs": ["left", "right"], "activation": "relu"},
    ]
    plan = compare(network(layers, (8, 8, 2)))
    assert plan.choices["max_pool2d_1"] == "max_pool"


def test_the_choices_of_lenet_are_those_of_the_rule() -> None:
    lenet = next(preset for preset in PRESETS if preset.name == "lenet-5")
    choices = Plan(Network.build(lenet.architecture()), 64, CUT, training=True).choices
    assert [choice.split("/")[0] for choice in choices.values()] == [
        "quartered",
        "quartered",
        "view",
        "dense relu",
        "dense relu",
        "dense",
    ]
    assert choices["conv2d_1"].endswith("relu max_pool")


@pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])
def test_a_plan_goes_by_the_numbers_that_its_weights_have_now(training: bool) -> None:
    """New numbers in the same arrays, the same numbers in other arrays, and only other statistics."""
    layers = [
        CONV,
        {"type": "batch_norm"},
        {"type": "relu"},
        {"type": "max_pool2d"},
        {**CONV, "kernel_size": 1},
        {"type": "batch_norm", "trainable": False},
        {"type": "depthwise_conv2d", "kernel_size": 3, "padding": "same", "bias": True},
        {**CONV, "kernel_size": 5},
        {"type": "flatten"},
        {"type": "dense", "units": 200},
        {"type": "dense", "units": 3},
        {"type": "batch_norm"},
    ]
    net = network(layers, (12, 12, 16))
    x = np.random.default_rng(0).standard_normal((4, *net.input_shape)).astype(np.float32)
    one, other = net.initial_weights(0), net.initial_weights(1)
    for number, weights in enumerate((one, other)):
        for name, weight in weights.items():
            if "/running" in name or name.endswith("/bias"):
                weight += np.float32(0.1 + number)

    def outcome(plan: Plan, weights: dict[str, Array]) -> dict[str, Array]:
        plan.prepare(weights)
        if not training:
            return {"scores": plan.scores(x).copy()}
        context = Context(statistics="batch", records=True, seed=1, workspace=Workspace())
        tape = plan.forward(x, context)
        scores = tape.output.copy()
        gradients = plan.backward(tape, np.ones_like(scores))
        return {
            "scores": scores,
            **{name: array.copy() for name, array in gradients.items()},
            **context.updates,
        }

    def same(plan: Plan, weights: dict[str, Array]) -> None:
        expected = outcome(Plan(net, 4, CUT, training=training), weights)
        found = outcome(plan, weights)
        assert found.keys() == expected.keys()
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array, err_msg=name)

    plan = Plan(net, 4, CUT, training=training)
    same(plan, one)
    for name, weight in one.items():
        weight[...] = other[name]
    same(plan, one)
    same(plan, other)
    same(plan, {name: weight * 2 if "/running" in name else weight for name, weight in other.items()})
    apart = {name: np.asfortranarray(weight * 2) for name, weight in other.items()}
    same(plan, apart)
    for weight in apart.values():
        weight += 1
    same(plan, apart)
