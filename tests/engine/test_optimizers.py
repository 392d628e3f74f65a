"""Every optimizer against PyTorch's own description of it, or the paper's, written out number by number."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Generator, Iterator
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from engine.recipe.optimizers import (
    LARS,
    OPTIMIZERS,
    SGD,
    Adam,
    AdamW,
    AnyOptimizer,
    Lookahead,
    Optimizer,
    most_slots,
)
from engine.spec import descriptions
from engine.workspace import FRESH

PARSE = TypeAdapter(AnyOptimizer)


Rule = Generator[float, float, None]
"""Yields a weight after each step, and takes it back, perhaps moved, before the next."""


def sgd(w: float, gradients: list[float], lr: float, wd: float, mu: float, nesterov: bool) -> Rule:
    """torch.optim.SGD, dampening 0."""
    b = 0.0
    for t, g in enumerate(gradients, start=1):
        g += wd * w
        if mu:
            b = mu * b + g if t > 1 else g
            g = g + mu * b if nesterov else b
        w = yield w - lr * g


def rmsprop(
    w: float, gradients: list[float], lr: float, wd: float, alpha: float, eps: float, mu: float, centred: bool
) -> Rule:
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
        w = yield w - lr * (b if mu else step)


def adam(
    w: float,
    gradients: list[float],
    lr: float,
    wd: float,
    betas: tuple[float, float],
    eps: float,
    apart: bool,
) -> Rule:
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
        w = yield w - lr * m_hat / (math.sqrt(v_hat) + eps)


def lars(
    w: list[float], gradients: list[list[float]], lr: float, wd: float, trust: float, mu: float
) -> Iterator[list[float]]:
    """The paper's algorithm 1, on all numbers of a layer."""
    v = [0.0] * len(w)
    for g in gradients:
        norm_w, norm_g = (math.sqrt(sum(number * number for number in numbers)) for numbers in (w, g))
        local = trust * norm_w / (norm_g + wd * norm_w)
        v = [mu * each + lr * local * (slope + wd * own) for each, slope, own in zip(v, g, w, strict=True)]
        w = [own - each for own, each in zip(w, v, strict=True)]
        yield w


def path(rule: Rule, slow: float, steps: int, every: int = 0, share: float = 0.0) -> list[float]:
    """Follow a rule, by Lookahead's algorithm 1 if it looks ahead."""
    found = [next(rule)]
    for step in range(1, steps + 1):
        if every and step % every == 0:
            slow += share * (found[-1] - slow)
            found[-1] = slow
        if step < steps:
            found.append(rule.send(found[-1]))
    return found


def number_by_number(optimizer: Any, w: float, gradients: list[float]) -> list[float]:
    if optimizer.type == "lookahead":
        rule = one_number(optimizer.inner, w, gradients)
        return path(rule, w, len(gradients), optimizer.every, optimizer.share)
    return path(one_number(optimizer, w, gradients), w, len(gradients))


def one_number(optimizer: Any, w: float, gradients: list[float]) -> Rule:
    lr, wd = optimizer.learning_rate, optimizer.weight_decay
    match optimizer.type:
        case "sgd":
            return sgd(w, gradients, lr, wd, optimizer.momentum, optimizer.nesterov)
        case "rmsprop":
            rule = (optimizer.smoothing, optimizer.epsilon, optimizer.momentum, optimizer.centred)
            return rmsprop(w, gradients, lr, wd, *rule)
    betas = (optimizer.beta_1, optimizer.beta_2)
    return adam(w, gradients, lr, wd, betas, optimizer.epsilon, optimizer.type == "adamw")


def expected(optimizer: Any, weight: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Return the weight after each step, by plain Python."""
    if optimizer.type == "lars":
        flat = [gradient.ravel().tolist() for gradient in gradients]
        rule = (optimizer.learning_rate, optimizer.weight_decay, optimizer.trust, optimizer.momentum)
        return np.array(list(lars(weight.ravel().tolist(), flat, *rule))).reshape(gradients.shape)
    paths = np.empty(gradients.shape)
    for place in np.ndindex(weight.shape):
        slopes = [float(gradient[place]) for gradient in gradients]
        paths[(slice(None), *place)] = number_by_number(optimizer, float(weight[place]), slopes)
    return paths


DOCUMENTS = [
    *(example for kind in OPTIMIZERS for example in kind.examples if not example.get("decoupled")),
    {"type": "sgd", "momentum": 0.0, "weight_decay": 0.1},
    {"type": "sgd", "momentum": 0.7, "weight_decay": 0.1},
    {"type": "rmsprop", "momentum": 0.5},
    {"type": "rmsprop", "centred": True, "smoothing": 0.5},
    {"type": "adam", "weight_decay": 0.3, "epsilon": 0.01, "beta_2": 0.9},
    {"type": "adamw", "weight_decay": 0.3, "epsilon": 0.01, "beta_1": 0.5},
    {"type": "lars", "learning_rate": 3.0, "trust": 0.1, "momentum": 0.0},
    {"type": "lars", "trust": 0.1, "momentum": 0.8, "weight_decay": 0.2},
    {"type": "lookahead", "inner": {"type": "sgd", "learning_rate": 0.3}, "every": 3, "share": 0.25},
    {"type": "lookahead", "inner": {"type": "adamw", "learning_rate": 0.3}, "every": 1},
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=json.dumps)
def test_an_optimizer_follows_its_description(document: dict[str, Any]) -> None:
    optimizer = PARSE.validate_python(document)
    draw = np.random.default_rng(0)
    weight = draw.standard_normal((3, 2))
    gradients = draw.standard_normal((6, 3, 2))
    reference = expected(optimizer, weight, gradients)
    slots = optimizer.first_slots(weight)
    assert set(slots) == set(optimizer.slots())
    for step, gradient in enumerate(gradients):
        before = gradient.copy()
        optimizer.step(weight, gradient, slots, optimizer.rate(), step + 1)
        np.testing.assert_array_equal(gradient, before)
        np.testing.assert_allclose(weight, reference[step], rtol=1e-9)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_an_optimizer_tells_formula_source_and_purpose(kind: type[Optimizer]) -> None:
    assert kind.__doc__
    assert kind.formula
    assert kind.source
    assert set(kind.model_fields) - {"type"} <= set(descriptions(kind))
    for example in kind.examples:
        optimizer = PARSE.validate_python(example)
        assert PARSE.validate_json(optimizer.model_dump_json(serialize_as_any=True)) == optimizer


ALL = pytest.mark.parametrize(
    "document", [example for kind in OPTIMIZERS for example in kind.examples], ids=json.dumps
)


@ALL
def test_an_elementwise_rule_is_the_same_whatever_array_a_number_is_in(document: dict[str, Any]) -> None:
    """It may be given many weights as one; any other may not, and says so."""
    optimizer = PARSE.validate_python(document)
    draw = np.random.default_rng(1)
    weight = draw.standard_normal((300, 301)).astype(np.float32)
    gradient = draw.standard_normal(weight.shape).astype(np.float32)
    slots = optimizer.first_slots(weight)
    rows = [(row.copy(), optimizer.first_slots(row)) for row in weight]
    for step in (1, 2):
        optimizer.step(weight, gradient, slots, 0.01, step)
        for row, (alone, own) in enumerate(rows):
            optimizer.step(alone, gradient[row], own, 0.01, step)
    assert np.array_equal(weight, [alone for alone, _ in rows]) == optimizer.elementwise
    for name, slot in slots.items():
        assert np.array_equal(slot, [own[name] for _, own in rows]) == (
            optimizer.elementwise or name == "slow"
        )
    assert weight.dtype == np.float32


@ALL
def test_the_shape_of_an_array_is_no_matter(document: dict[str, Any]) -> None:
    optimizer = PARSE.validate_python(document)
    draw = np.random.default_rng(1)
    shaped = draw.standard_normal((3, 3, 50, 80)).astype(np.float32)
    flat = shaped.reshape(-1).copy()
    gradient = draw.standard_normal(shaped.shape).astype(np.float32)
    slots, flat_slots = optimizer.first_slots(shaped), optimizer.first_slots(flat)
    for step in range(1, 7):
        optimizer.step(shaped, gradient, slots, 0.01, step)
        optimizer.step(flat, gradient.reshape(-1), flat_slots, 0.01, step)
    np.testing.assert_array_equal(shaped.reshape(-1), flat)


def test_lars_takes_plain_steps_where_nothing_is_to_be_in_proportion_to() -> None:
    rule = LARS(learning_rate=0.5, momentum=0.0, trust=0.1)
    for weight, decays in ((np.zeros(2), True), (np.ones(2), False)):
        changed = weight.copy()
        rule.step(changed, np.ones(2), rule.first_slots(weight), 0.5, 1, decays=decays)
        np.testing.assert_array_equal(changed, weight - 0.5)


def test_no_optimizer_keeps_more_than_the_summary_counts() -> None:
    """Whatever switches are set, inside of Lookahead too."""
    records: list[Optimizer] = []
    for kind in OPTIMIZERS:
        if kind is Lookahead:
            continue
        switches = {
            name: choices
            for name, choices in {"centred": (False, True), "momentum": (0.0, 0.5)}.items()
            if name in kind.model_fields
        }
        for chosen in itertools.product(*switches.values()):
            record = kind.model_validate(dict(zip(switches, chosen, strict=True)))
            records += [record, Lookahead(inner=record)]
    assert max(len(record.slots()) for record in records) == most_slots()


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
