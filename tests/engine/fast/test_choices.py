"""Which kernel a convolution takes, and what a plan says of it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.fast.kernels.choice import decide
from engine.fast.kernels.kernel import Case
from engine.fast.kernels.prediction import predicted
from engine.fast.layout.gemm import Tuning
from engine.fast.plan import Plan
from engine.graph.network import Network
from engine.machine.machine import Gather
from engine.ops.windows import Axis, Window
from engine.presets import find
from tests.engine.fast.test_plan import compare, network
from tests.machines import figures, machine

LIKES_WINOGRAD = Tuning.of(machine(transform=1e4, gathers=(Gather(run=3, rate=0.1),)))
"""A machine that copies slowly, and transforms for next to nothing."""
LIKES_COLUMNS = Tuning.of(machine(transform=0.01, gathers=(Gather(run=3, rate=100.0),)))

cases = st.builds(
    lambda batch, height, width, kernel, channels, filters, training, pooled: Case(
        batch,
        Window(*(Axis(size, kernel, 1, kernel // 2, kernel // 2, 1) for size in (height, width))),
        (kernel, kernel, channels, filters),
        channels,
        training,
        wants_dx=training,
        wants_dw=training,
        pooled=pooled and height % 2 == width % 2 == 0,
    ),
    st.integers(1, 40),
    st.integers(2, 40),
    st.integers(2, 40),
    st.sampled_from([1, 3, 5]),
    st.integers(2, 40),
    st.integers(2, 40),
    st.booleans(),
    st.booleans(),
)


def rule(case: Case) -> str:
    """Return what the rule takes, as the table of the performance page says."""
    if case.weight[0] == 1:
        return "pointwise"
    height, many = case.window.height.size, min(case.channels, case.filters) >= 16
    # filters of so few channels fit the cache
    if case.weight[0] == 3 and many and -(-height // 4) * 4 <= 1.25 * height:
        return "winograd"
    return "quartered" if case.pooled and case.filters <= 16 else "columns"


@given(case=cases)
def test_without_figures_the_rule_alone_counts(case: Case) -> None:
    assert decide(case, Tuning()).kernel == rule(case)


@given(
    case=cases,
    transform=st.floats(1, 500),
    narrow=st.floats(0.5, 2),
    gather=st.floats(0.1, 10),
    gain=st.floats(0.5, 2),
)
def test_the_rule_is_left_only_for_what_is_clearly_quicker(
    case: Case, transform: float, narrow: float, gather: float, gain: float
) -> None:
    gathers = (Gather(run=3, rate=gather), Gather(run=48, rate=10 * gather))
    tuning = Tuning.of(machine(transform=transform, narrow=narrow, gain=gain, gathers=gathers))
    taken = decide(case, tuning).kernel
    if rule(case) == "pointwise":
        assert taken == "pointwise"
        return
    of_rule = predicted(rule(case), case, tuning)
    if taken != rule(case):
        assert predicted(taken, case, tuning) < 0.75 * of_rule
    # a measurement that differs a little chooses otherwise only where both are about as quick as it takes
    again = decide(
        case, Tuning.of(machine(transform=transform * 1.02, narrow=narrow, gain=gain, gathers=gathers))
    )
    if again.kernel != taken:
        quickest = min(
            predicted(kernel, case, tuning) for kernel in (taken, again.kernel) if kernel != rule(case)
        )
        assert quickest / of_rule == pytest.approx(0.75, rel=0.05)


@settings(max_examples=25)
@given(
    size=st.tuples(st.integers(4, 13), st.integers(2, 13)),
    channels=st.integers(1, 18),
    filters=st.integers(1, 18),
    batch=st.integers(1, 5),
    pooled=st.booleans(),
)
def test_any_number_of_channels_is_right_by_winograd(
    size: tuple[int, int], channels: int, filters: int, batch: int, pooled: bool
) -> None:
    """The rule takes it from sixteen on, and so do the tests of presets."""
    layers = [
        {"type": "conv2d", "filters": channels, "kernel_size": 1},
        {"type": "conv2d", "filters": filters, "kernel_size": 3, "padding": "same", "name": "c"},
        *([{"type": "max_pool2d"}] if pooled and size[1] % 2 == size[0] % 2 == 0 else []),
        {"type": "conv2d", "filters": 2, "kernel_size": 1},
    ]
    compare(network(layers, (*size, 2)), batch, 5e-5, tuning=LIKES_WINOGRAD)


def test_predictions_choose_against_the_rule_either_way() -> None:
    few = [
        {"type": "conv2d", "filters": 8, "kernel_size": 3, "padding": "same", "name": name} for name in "ab"
    ]
    many = [{**layer, "filters": 32} for layer in few]
    for layers, tuning, kernel, other in (
        (few, LIKES_WINOGRAD, "winograd", "columns"),
        (many, LIKES_COLUMNS, "columns", "winograd"),
    ):
        net = network(layers, (16, 16, 3))
        plan = compare(net, tuning=tuning)
        assert plan.choices["b"].startswith(f"{kernel}/")
        assert plan.reasons["b"].startswith("predicted: ")
        assert f"the rule would take {other}" in plan.reasons["b"]
        ruled = Plan(net, 4, Tuning(), training=True)
        assert ruled.choices["b"].startswith(f"{other}/")
        assert "predicted" not in ruled.reasons["b"]


def test_a_plan_says_of_each_step_why() -> None:
    preset = find("resnet-20")
    assert preset is not None
    plan = Plan(Network.build(preset.architecture()), 1, Tuning.of(machine()), training=False)
    assert plan.reasons.keys() == plan.choices.keys()
    assert all(plan.reasons.values())
    first, *_, last = plan.reasons.values()
    assert "windows are gathered" in first
    assert "columns" in first
    assert "ms" in first
    assert last == "there is a step for dense"
    assert any(
        "many channels: half of the multiplications; predicted: winograd" in why
        for why in plan.reasons.values()
    )


def test_what_no_step_computes_says_so() -> None:
    layers = [{"type": "conv2d", "filters": 4, "kernel_size": 3, "groups": 2}, {"type": "gelu"}]
    plan = Plan(network(layers, (9, 9, 4)), 1, Tuning.of(machine()), training=True)
    assert plan.reasons["conv2d_1"].startswith("its filters see some of the channels")
    assert plan.reasons["gelu_1"] == "no step computes gelu any quicker than the layer"


def test_nothing_is_predicted_without_figures() -> None:
    window = Window(*(Axis(8, 3, 1, 1, 1, 1) for _ in range(2)))
    with pytest.raises(ValueError, match="measure the machine first"):
        predicted("columns", Case(1, window, (3, 3, 8, 8), 8, training=False), Tuning())


@given(batch=st.integers(1, 30), training=st.booleans())
def test_what_is_more_takes_longer(batch: int, training: bool) -> None:
    """Of pictures, of channels, and on a slower machine."""
    slower = Tuning.of(machine(transform=10.0, gathers=(Gather(run=3, rate=0.5),)))
    usual = Tuning.of(machine())
    assert usual.figures == figures()
    window = Window(*(Axis(16, 3, 1, 1, 1, 1) for _ in range(2)))

    def case(pictures: int, filters: int) -> Case:
        return Case(pictures, window, (3, 3, 8, filters), 8, training, training, training, pooled=True)

    for kernel in ("winograd", "columns", "quartered"):
        time = predicted(kernel, case(batch, 8), usual)
        assert 0 < time < predicted(kernel, case(2 * batch, 8), usual)
        assert time < predicted(kernel, case(batch, 16), usual)
        assert time < predicted(kernel, case(batch, 8), slower)
