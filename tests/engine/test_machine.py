"""What follows from what was measured of a machine, and that something is measured at all."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from engine.fast.layout.gemm import OPENBLAS_EDGE, Tuning
from engine.fast.parallel.setup import Setup
from engine.fast.parallel.share import pins
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.inputs.preparation import Preparation
from engine.machine.machine import Identity, Machine
from engine.machine.measure import measure
from engine.recipe.losses import SoftmaxCrossEntropy
from tests.machines import COLUMNS, INNER, figures, machine

AVX2, AVX512, OTHER = "Haswell", "SkylakeX", ""


def of(kernels: str) -> Identity:
    return Identity.here().model_copy(update={"kernels": kernels})


@given(gain=st.floats(0.81, 1.24))
def test_what_is_known_of_kernels_is_not_changed_by_chance(gain: float) -> None:
    assert Tuning.of(machine(of(AVX512), gain=gain)).gemm_edge == OPENBLAS_EDGE
    assert Tuning.of(machine(of(AVX2), gain=gain)).gemm_edge == 0
    assert Tuning.of(machine(of(OTHER), gain=gain)).gemm_edge == 0


@given(gain=st.floats(1.26, 3.0))
def test_what_was_measured_counts_where_it_is_clear(gain: float) -> None:
    for kernels in (AVX2, OTHER):
        assert Tuning.of(machine(of(kernels), gain=gain)).gemm_edge == OPENBLAS_EDGE
    assert Tuning.of(machine(of(AVX512), gain=1 / gain)).gemm_edge == 0


def test_figures_without_pieces_leave_what_is_known() -> None:
    whole = figures().model_copy(
        update={"products": tuple(each.model_copy(update={"cut": None}) for each in figures().products)}
    )
    for kernels, edge in ((AVX512, OPENBLAS_EDGE), (AVX2, 0)):
        assert Tuning.of(machine(of(kernels)).model_copy(update={"figures": whole})).gemm_edge == edge


@given(inner=st.integers(1, 5000), columns=st.integers(1, 5000), cut=st.booleans())
def test_rates_lie_between_those_that_were_measured(inner: int, columns: int, cut: bool) -> None:
    found = figures(gain=1.5)
    rate = found.product_rate(inner, columns, cut=cut) / 1e9
    scale = 1.5 if cut else 1.0
    assert 20 * scale * (1 - 1e-9) <= rate <= 75 * scale * (1 + 1e-9)
    assert rate <= found.product_rate(inner, columns + 1, cut=cut) / 1e9 * (1 + 1e-9)


def test_rates_are_those_that_were_measured_where_they_were() -> None:
    found = figures(gain=1.5)
    for inner in INNER:
        rates = [found.product_rate(inner, columns, cut=True) for columns in COLUMNS]
        assert rates == pytest.approx([30e9, 90e9, 112.5e9])
    assert found.gather_seconds(1e9, 12) == pytest.approx(1 / 6.7)
    assert found.gather_seconds(1e9, 24) == pytest.approx(1 / math.sqrt(6.7 * 18))
    assert found.copy_seconds(1 << 25) == pytest.approx((1 << 25) / 8e9)
    assert found.pass_seconds(1 << 14) == pytest.approx((1 << 14) / 20e9)


def test_figures_pass_from_process_to_process_unchanged() -> None:
    """Through the pins of checkpoints, and what shares and nodes are sent."""
    tuning = Tuning.of(machine())
    assert Tuning.model_validate_json(pins(2, tuning)["tuning"]) == tuning
    layers = [{"type": "flatten"}, {"type": "dense", "units": 2}]
    network = Network.build(Architecture.model_validate({"input_shape": [2, 2, 1], "layers": layers}))
    setup = Setup(network, SoftmaxCrossEntropy(), Preparation(preprocessing=None), tuning, 2, 8)
    assert Setup.of(json.loads(json.dumps(setup.document()))).tuning == tuning


def test_pins_without_figures_are_those_of_earlier_versions() -> None:
    assert pins(1, Tuning(gemm_edge=5))["tuning"] == '{"gemm_edge":5,"tile_bytes":524288}'


def test_what_is_measured_can_be_used_and_written_down() -> None:
    found = measure()
    assert found.identity == Identity.here()
    assert Machine.model_validate_json(found.model_dump_json()) == found
    assert 0 < found.together <= 1
    assert any(each.cut is not None for each in found.figures.products)
    # plans can be made by it
    assert Tuning.of(found).figures == found.figures


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.inf, math.nan])
def test_figures_that_cannot_be_are_refused(wrong: float) -> None:
    with pytest.raises(ValidationError):
        figures(transform=wrong)
