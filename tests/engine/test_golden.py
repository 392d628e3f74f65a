"""Every layer against what PyTorch answered to its examples; `make parity` wrote the answers down."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter

from engine.layers import LAYERS, AnyLayer, Block, Context

GOLDEN = Path(__file__).parent / "golden" / "layers.npz"
DRAWING = {"dropout", "spatial_dropout2d", "stochastic_depth"}


def read() -> dict[str, dict[str, np.ndarray]]:
    """Return the arrays of each case; text is an array too, and nothing is unpickled."""
    cases: dict[str, dict[str, np.ndarray]] = {}
    with np.load(GOLDEN, allow_pickle=False) as file:
        for key in file.files:
            number, _, name = key.partition("/")
            cases.setdefault(number, {})[name] = file[key]
    return cases


CASES = [pytest.param(case, id=f"{number}-{case['layer'].item()[:28]}") for number, case in read().items()]


def test_every_layer_has_answers_and_the_file_is_small() -> None:
    found = {TypeAdapter(AnyLayer).validate_json(case.values[0]["layer"].item()).type for case in CASES}
    layers = {kind.tag() for kind in LAYERS if not issubclass(kind, Block)}
    assert found == layers - DRAWING, "run make parity"
    assert GOLDEN.stat().st_size < 300_000


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-4), (np.float64, 1e-9)])
@pytest.mark.parametrize("case", CASES)
def test_a_layer_answers_what_pytorch_answered(
    case: dict[str, np.ndarray], dtype: type, tolerance: float
) -> None:
    layer = TypeAdapter(AnyLayer).validate_json(case["layer"].item())
    given = {name: array.astype(dtype) for name, array in case.items() if name != "layer"}
    weights = {name[2:]: array for name, array in given.items() if name.startswith("w ")}
    xs = [array for name, array in given.items() if name.startswith("x")]
    context = Context(training=True, node="layer")
    y, saved = layer.forward(weights, *xs, context=context)
    dxs, gradients = layer.backward(weights, saved, given["dy"], context=context)
    answers = {"y": y} | {f"dx{number}": dx for number, dx in enumerate(dxs)}
    answers |= {f"dw {name}": gradient for name, gradient in gradients.items()}
    answers |= {f"new {name}": value for name, value in context.updates.items()}
    assert answers.keys() == {name for name in case if name.startswith(("y", "dx", "dw ", "new "))}
    largest = max(float(np.abs(case[name]).max()) for name in answers)
    for name, answer in answers.items():
        assert answer.dtype == dtype
        scale = max(float(np.abs(case[name]).max()), largest / 100)
        np.testing.assert_allclose(answer, case[name], rtol=0, atol=tolerance * scale, err_msg=name)
