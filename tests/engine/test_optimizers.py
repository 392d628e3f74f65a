"""Every optimizer against PyTorch's own description of it, written out number by number."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from engine.recipe.optimizers import OPTIMIZERS, SGD, Adam, AdamW, AnyOptimizer, Optimizer
from engine.spec import descriptions
from engine.workspace import FRESH

PARSE = TypeAdapter(AnyOptimizer)


def sgd(w: float, gradients: list[float], lr: float, wd: float, mu: float, nesterov: bool) -> Iterator[float]:
    """torch.optim.SGD, dampening 0."""
    b = 0.0
    for t, g in enumerate(gradients, start=1):
        g += wd * w
        if mu:
            b = mu * b + g if t > 1 else g
            g = g + mu * b if nesterov else b
        w -= lr * g
        yield w


def rmsprop(
    w: float, gradients: list[float], lr: float, wd: float, alpha: float, eps: float, mu: float, centred: bool
) -> Iterator[float]:
    """torch.optim.RMSprop."""
    v = b = mean = 0.0
    for g in gradients:
        g += wd * w
        v = alpha * v + (1 - alpha) * g * g
        size = v
        if centred:
            mean = mean * alpha + (1 - alpha) * g
            size = v - mean * mean
        step = g / (math.sqrt(size) + eps)
        b = mu * b + step
        w -= lr * (b if mu else step)
        yield w


def adam(
    w: float,
    gradients: list[float],
    lr: float,
    wd: float,
    betas: tuple[float, float],
    eps: float,
    apart: bool,
) -> Iterator[float]:
    """torch.optim.Adam, or torch.optim.AdamW if the decay stands apart."""
    m = v = 0.0
    for t, g in enumerate(gradients, start=1):
        if apart:
            w -= lr * wd * w
        else:
            g += wd * w
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g * g
        m_hat, v_hat = m / (1 - betas[0] ** t), v / (1 - betas[1] ** t)
        w -= lr * m_hat / (math.sqrt(v_hat) + eps)
        yield w


def expected(optimizer: Any, w: float, gradients: list[float]) -> list[float]:
    lr, wd = optimizer.learning_rate, optimizer.weight_decay
    match optimizer.type:
        case "sgd":
            return list(sgd(w, gradients, lr, wd, optimizer.momentum, optimizer.nesterov))
        case "rmsprop":
            rule = (optimizer.smoothing, optimizer.epsilon, optimizer.momentum, optimizer.centred)
            return list(rmsprop(w, gradients, lr, wd, *rule))
    betas = (optimizer.beta_1, optimizer.beta_2)
    return list(adam(w, gradients, lr, wd, betas, optimizer.epsilon, optimizer.type == "adamw"))


DOCUMENTS = [
    *(example for kind in OPTIMIZERS for example in kind.examples if not example.get("decoupled")),
    {"type": "sgd", "momentum": 0.0, "weight_decay": 0.1},
    {"type": "sgd", "momentum": 0.7, "weight_decay": 0.1},
    {"type": "rmsprop", "momentum": 0.5},
    {"type": "rmsprop", "centred": True, "smoothing": 0.5},
    {"type": "adam", "weight_decay": 0.3, "epsilon": 0.01, "beta_2": 0.9},
    {"type": "adamw", "weight_decay": 0.3, "epsilon": 0.01, "beta_1": 0.5},
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=json.dumps)
def test_an_optimizer_follows_pytorch(document: dict[str, Any]) -> None:
    optimizer = PARSE.validate_python({"learning_rate": 0.05, **document})
    draw = np.random.default_rng(0)
    weight = draw.standard_normal((3, 2))
    gradients = draw.standard_normal((6, 3, 2))
    references = {
        place: expected(optimizer, float(weight[place]), [float(g[place]) for g in gradients])
        for place in np.ndindex(weight.shape)
    }
    slots = {name: np.zeros_like(weight) for name in optimizer.slots()}
    for step, gradient in enumerate(gradients):
        before = gradient.copy()
        optimizer.step(weight, gradient, slots, optimizer.learning_rate, step + 1)
        np.testing.assert_array_equal(gradient, before)
        for place, weights in references.items():
            assert weight[place] == pytest.approx(weights[step], rel=1e-9)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_an_optimizer_tells_formula_source_and_purpose(kind: type[Optimizer]) -> None:
    assert kind.__doc__
    assert kind.formula
    assert kind.source
    assert set(kind.model_fields) - {"type"} <= set(descriptions(kind))
    for example in kind.examples:
        optimizer = PARSE.validate_python(example)
        assert PARSE.validate_json(optimizer.model_dump_json(serialize_as_any=True)) == optimizer


@pytest.mark.parametrize(
    "document", [example for kind in OPTIMIZERS for example in kind.examples], ids=json.dumps
)
def test_large_arrays_are_worked_on_in_pieces_to_the_same_bits(document: dict[str, Any]) -> None:
    optimizer = PARSE.validate_python(document)
    draw = np.random.default_rng(1)
    weight = draw.standard_normal((300, 301)).astype(np.float32)
    gradient = draw.standard_normal(weight.shape).astype(np.float32)
    slots = {name: np.zeros_like(weight) for name in optimizer.slots()}
    rows = [
        (weight[row].copy(), {name: slot[row].copy() for name, slot in slots.items()}) for row in range(300)
    ]
    for step in (1, 2):
        optimizer.step(weight, gradient, slots, 0.01, step)
        for row, (alone, own) in enumerate(rows):
            optimizer.step(alone, gradient[row], own, 0.01, step)
    for row, (alone, own) in enumerate(rows):
        np.testing.assert_array_equal(weight[row], alone)
        for name, slot in own.items():
            np.testing.assert_array_equal(slots[name][row], slot)
    assert weight.dtype == np.float32


def test_decoupled_decay_shrinks_weights_and_leaves_the_averages_alone() -> None:
    coupled, apart = (SGD(momentum=0.5, weight_decay=0.1, decoupled=decoupled) for decoupled in (False, True))
    for optimizer, velocity, weight in (
        (coupled, 0.2 + 0.1 * 2, 2 - 0.3 * 0.4),
        (apart, 0.2, 2 * 0.97 - 0.3 * 0.2),
    ):
        w, slots = np.array([2.0]), {"velocity": np.zeros(1)}
        optimizer.step(w, np.array([0.2]), slots, 0.3, 1)
        assert slots["velocity"][0] == pytest.approx(velocity)
        assert w[0] == pytest.approx(weight)


def test_a_weight_that_does_not_decay_is_left_alone() -> None:
    weight = np.array([3.0])
    SGD(weight_decay=1.0, momentum=0.0).step(weight, np.zeros(1), {}, 0.1, 1, decays=False)
    AdamW(weight_decay=1.0).step(
        weight, np.zeros(1), {"mean": np.zeros(1), "square": np.zeros(1)}, 0.1, 1, decays=False
    )
    assert weight[0] == 3


def test_arrays_that_do_not_lie_in_one_piece_are_updated_too() -> None:
    weight = np.ones((400, 200))[:, ::2]
    SGD(momentum=0.0).step(weight, np.ones_like(weight), {}, 0.5, 1, buffers=FRESH)
    assert (weight == 0.5).all()


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValidationError, match="momentum above 0"):
        SGD(momentum=0.0, nesterov=True)
    with pytest.raises(ValidationError, match="decoupled"):
        AdamW.model_validate({"decoupled": False})
    with pytest.raises(ValidationError, match="weight_decay"):
        Adam(weight_decay=-1.0)
