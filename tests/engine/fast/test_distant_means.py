"""Batch norm of features far from zero, where sums about the running mean cancel; against float64."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from engine.execution.protocol import PlainExecution
from engine.fast.layout.gemm import OPENBLAS_EDGE, Tuning
from engine.fast.parallel.processes import ProcessExecution
from engine.fast.parallel.setup import Setup
from engine.fast.parallel.threads import ThreadExecution
from engine.fast.plan import Plan
from engine.graph.network import Network
from engine.inputs.batch import Batch
from engine.inputs.preparation import Preparation
from engine.inputs.preprocessing import Preprocessing
from engine.layers import Context
from engine.recipe.losses import SoftmaxCrossEntropy
from engine.training.loop import one_hot
from engine.workspace import Workspace
from tests.engine.fast.nets import build

PICTURES = 6
SIZE = (8, 8, 16)
TUNING = Tuning(gemm_edge=OPENBLAS_EDGE)
WINOGRAD = {"type": "conv2d", "filters": 16, "padding": "same", "name": "before"}
HEAD = [
    {"type": "conv2d", "filters": 4, "padding": "same"},
    {"type": "flatten"},
    {"type": "dense", "units": 5},
]
NORM = {"type": "batch_norm", "name": "norm", "activation": "relu"}
PATHS: dict[str, list[dict[str, Any]]] = {
    "behind winograd": [WINOGRAD, NORM, *HEAD],
    "behind columns": [{**WINOGRAD, "kernel_size": 5}, NORM, *HEAD],
    "behind pointwise": [{**WINOGRAD, "kernel_size": 1}, NORM, *HEAD],
    "behind depthwise": [{"type": "depthwise_conv2d", "padding": "same", "name": "before"}, NORM, *HEAD],
    "in a sum": [
        {**WINOGRAD, "name": "other"},
        WINOGRAD,
        {**NORM, "activation": None},
        {"type": "add", "inputs": ["norm", "other"], "activation": "relu"},
        *HEAD,
    ],
    "of the input": [NORM, *HEAD],
    "stored": [WINOGRAD, NORM, {"type": "gelu"}, *HEAD],
}
DEVIATIONS = (0, 100, 1e3, 1e5)


def rounding(deviations: float) -> float:
    """Return what float32 numbers so many deviations from zero are off by, in deviations, with room for a few sums."""
    return 1e-4 + 16 * deviations * float(np.finfo(np.float32).eps)


def drawn(path: str, deviations: float) -> tuple[Network, dict[str, np.ndarray], np.ndarray]:
    """Return a network, weights that bring the mean of each channel so far from zero, and what it reads."""
    network = build(SIZE, PATHS[path])
    draw = np.random.default_rng(0)
    weights = network.initial_weights(0)
    x = draw.standard_normal((PICTURES, *SIZE)).astype(np.float32)
    signs = draw.choice([-1.0, 1.0], SIZE[2])
    if "before/bias" not in weights:
        return network, weights, x + (deviations * signs).astype(np.float32)
    before = PATHS[path].index(next(layer for layer in PATHS[path] if layer.get("name") == "before"))
    maps = build(SIZE, PATHS[path][: before + 1]).forward(
        {name: weight for name, weight in weights.items() if name.startswith(("before", "other"))},
        x,
        Context(),
    )
    weights["before/bias"][:] = deviations * signs * maps.output.std(axis=(0, 1, 2))
    return network, weights, x


def exact(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: array.astype(np.float64) for name, array in arrays.items()}


def close(found: np.ndarray, wanted: np.ndarray, tolerance: float, what: str) -> None:
    scale = max(float(np.linalg.norm(wanted)), 0.05 * wanted.size**0.5)
    assert float(np.linalg.norm(found - wanted)) / scale < tolerance, what


@pytest.mark.parametrize("deviations", DEVIATIONS)
@pytest.mark.parametrize("path", PATHS)
def test_the_first_steps_are_as_exact_as_their_numbers(path: str, deviations: float) -> None:
    network, weights, x = drawn(path, deviations)
    plan = Plan(network, PICTURES, TUNING, training=True)
    workspace = Workspace()
    tolerance = rounding(deviations)
    for step in range(2):
        plan.prepare(weights)
        ours = Context(statistics="batch", records=True, step=step, workspace=workspace)
        theirs = Context(statistics="batch", records=True, step=step)
        tape = plan.forward(x, ours)
        expected = network.forward(exact(weights), x.astype(np.float64), theirs)
        close(tape.output, expected.output, tolerance, "output")
        dy = np.random.default_rng(step).standard_normal(tape.output.shape).astype(np.float32)
        gradients = plan.backward(tape, dy)
        for name, gradient in network.backward(expected, dy.astype(np.float64)).items():
            if name != "before/bias":  # which batch norm takes away again: nothing but rounding
                close(gradients[name], gradient, min(30 * tolerance, 0.5), name)
        for name, value in theirs.updates.items():
            assert ours.updates[name].dtype == np.float32
            np.testing.assert_allclose(ours.updates[name], value, rtol=1e-4 + tolerance, err_msg=name)
        weights |= ours.updates


@pytest.fixture(params=["one share", "threads", "processes"])
def share(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Return what makes an execution of a network, given its preparation."""
    made: list[Any] = []

    def execution(network: Network, preparation: Preparation) -> Any:
        loss = SoftmaxCrossEntropy()
        if request.param == "processes":
            made.append(ProcessExecution(Setup(network, loss, preparation, TUNING, 2, PICTURES)))
        else:
            shares = 3 if request.param == "threads" else 1
            made.append(ThreadExecution(Setup(network, loss, preparation, TUNING, shares, PICTURES)))
        return made[-1]

    yield execution
    for one in made:
        one.close()


@pytest.mark.parametrize("varied", [False, True], ids=["alike", "varied"])
def test_shares_whose_pictures_are_far_from_zero(share: Any, varied: bool) -> None:
    """Some shares may see what is far from the running mean, and others not: all get the same statistics."""
    network = build((8, 8, 3), [NORM, *HEAD])
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (PICTURES, 8, 8, 3)).astype(np.uint8)
    if varied:  # only the last are far, by more than they differ among each other
        images = (images // 64).astype(np.uint8)
        images[-2:] += 250
    mean = 0.0 if varied else -300.0
    preparation = Preparation(preprocessing=Preprocessing(mean=(mean,) * 3, deviation=(0.3,) * 3))
    batch = Batch(
        images, one_hot(draw.integers(0, 5, PICTURES), 5), np.arange(PICTURES), epoch=1, one_class=True
    )
    weights = network.initial_weights(1)
    found = share(network, preparation).train(
        weights, batch, PICTURES, Context(statistics="batch", records=True)
    )
    plain = PlainExecution(network, SoftmaxCrossEntropy(), preparation)
    wanted = plain.train(exact(weights), batch, PICTURES, Context(statistics="batch", records=True))
    tolerance = rounding(1000)
    close(found.scores, wanted.scores, tolerance, "scores")
    for name, value in wanted.updates.items():
        np.testing.assert_allclose(found.updates[name], value, rtol=tolerance, err_msg=name)
    for name, value in wanted.gradients.items():
        close(found.gradients[name], value, 10 * tolerance, name)
