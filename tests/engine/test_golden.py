"""Every layer, loss and optimizer against what PyTorch answered; `make parity` wrote the answers down."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter

from engine.layers import LAYERS, AnyLayer, Block, Context
from engine.recipe.losses import LOSSES, AnyLoss
from engine.recipe.optimizers import OPTIMIZERS, AnyOptimizer

GOLDEN = Path(__file__).parent / "golden"
TOLERANCES = [(np.float32, 1e-4), (np.float64, 1e-9)]
DRAWING = {"dropout", "spatial_dropout2d", "stochastic_depth"}


def read(file_name: str) -> dict[str, dict[str, np.ndarray]]:
    """Return the arrays of each case; text is an array too, and nothing is unpickled."""
    cases: dict[str, dict[str, np.ndarray]] = {}
    with np.load(GOLDEN / file_name, allow_pickle=False) as file:
        for key in file.files:
            number, _, name = key.partition("/")
            cases.setdefault(number, {})[name] = file[key]
    return cases


CASES = [
    pytest.param(case, id=f"{number}-{case['layer'].item()[:28]}")
    for number, case in read("layers.npz").items()
]
TRAINING = read("training.npz")
LOSS_CASES = [name for name in TRAINING if name.startswith("loss")]
OPTIMIZER_CASES = [name for name in TRAINING if name.startswith("optimizer")]


def close(answer: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    np.testing.assert_allclose(answer, expected, rtol=0, atol=tolerance * float(np.abs(expected).max()))


def test_everything_has_answers_and_the_files_are_small() -> None:
    found = {TypeAdapter(AnyLayer).validate_json(case.values[0]["layer"].item()).type for case in CASES}
    layers = {kind.tag() for kind in LAYERS if not issubclass(kind, Block)}
    assert found == layers - DRAWING, "run make parity"
    records = [json.loads(TRAINING[name]["record"].item()) for name in [*LOSS_CASES, *OPTIMIZER_CASES]]
    assert {record["type"] for record in records} == {
        kind.model_fields["type"].default for kind in (*LOSSES, *OPTIMIZERS)
    }
    assert sum(file.stat().st_size for file in GOLDEN.iterdir()) < 600_000


@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
@pytest.mark.parametrize("case", CASES)
def test_a_layer_answers_what_pytorch_answered(
    case: dict[str, np.ndarray], dtype: type, tolerance: float
) -> None:
    layer = TypeAdapter(AnyLayer).validate_json(case["layer"].item())
    given = {name: array.astype(dtype) for name, array in case.items() if name != "layer"}
    weights = {name[2:]: array for name, array in given.items() if name.startswith("w ")}
    xs = [array for name, array in given.items() if name.startswith("x")]
    context = Context(statistics="batch", records=True, node="layer")
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


@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
@pytest.mark.parametrize("name", LOSS_CASES)
def test_a_loss_answers_what_pytorch_answered(name: str, dtype: type, tolerance: float) -> None:
    case = TRAINING[name]
    loss = TypeAdapter(AnyLoss).validate_json(case["record"].item())
    losses, saved = loss.forward(case["given scores"].astype(dtype), case["given targets"].astype(dtype))
    gradient = loss.backward(saved, len(losses))
    assert losses.dtype == gradient.dtype == dtype
    close(losses, case["y"], tolerance)
    close(gradient, case["dx"], tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
@pytest.mark.parametrize("name", OPTIMIZER_CASES)
def test_an_optimizer_goes_where_pytorch_went(name: str, dtype: type, tolerance: float) -> None:
    case = TRAINING[name]
    optimizer = TypeAdapter(AnyOptimizer).validate_json(case["record"].item())
    weight = case["given weight"].astype(dtype)
    slots = optimizer.first_slots(weight)
    for step, gradient in enumerate(case["given gradients"].astype(dtype), start=1):
        optimizer.step(weight, gradient, slots, optimizer.rate(), step)
        close(weight, case["w path"][step - 1], tolerance)
