"""Losses and optimizers beside PyTorch's: every example of the catalog, and the loss on mixed targets too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter
from torch.nn import functional

from benchmarks.parity_rows import DTYPES, Arrays, Row
from engine.arrays import Array
from engine.recipe.losses import LOSSES, AnyLoss, BinaryCrossEntropy, Loss, SoftmaxCrossEntropy
from engine.recipe.optimizers import LARS, OPTIMIZERS, SGD, AnyOptimizer, Lookahead, Optimizer, RMSProp

SEED = 21
BATCH, CLASSES = 6, 3
STEPS = 12
WEIGHTS = (5, 7)


def training_rows(golden: Arrays) -> dict[str, Row]:
    """Compare losses and optimizers, and put what PyTorch says of them into `golden`."""
    rows: dict[str, Row] = {}
    for number, (loss, given) in enumerate(_losses()):
        row = rows.setdefault(loss.type, Row())
        _compare(row, loss, given, loss_ours, loss_theirs, f"loss {number}", golden)
    for number, (optimizer, given) in enumerate(_optimizers()):
        row = rows.setdefault(optimizer.type, Row())
        _compare(row, optimizer, given, optimizer_ours, optimizer_theirs, f"optimizer {number}", golden)
    return rows


def _compare(row: Row, record: Any, given: Arrays, ours: Any, theirs: Any, name: str, golden: Arrays) -> None:
    row.cases += 1
    for dtype, kind in DTYPES.items():
        arrays = {key: array.astype(kind) for key, array in given.items()}
        answer = theirs(record, arrays)
        row.add(dtype, ours(record, arrays), answer)
        if dtype == "float64":
            golden[f"{name}/record"] = np.array(record.model_dump_json())
            golden |= {f"{name}/given {key}": array.astype(np.float32) for key, array in given.items()}
            golden |= {f"{name}/{key}": array for key, array in answer.items()}


def _drawn(generator: np.random.Generator, *shape: int) -> Array:
    """Draw float64 numbers with no more digits than float32."""
    return generator.standard_normal(shape).astype(np.float32).astype(np.float64)


def _losses() -> Iterator[tuple[Loss, Arrays]]:
    generator = np.random.default_rng(SEED)
    parse: TypeAdapter[Loss] = TypeAdapter(AnyLoss)
    for kind in LOSSES:
        for example in kind.examples:
            loss = parse.validate_python(example)
            for mixed in (False, True):
                targets = np.eye(CLASSES)[generator.integers(0, CLASSES, BATCH)]
                if mixed:  # as mixup leaves them
                    targets = 0.75 * targets + 0.25 * targets[::-1]
                if isinstance(loss, BinaryCrossEntropy):
                    targets = np.maximum(targets, targets[:, ::-1])
                yield loss, {"scores": 4 * _drawn(generator, BATCH, CLASSES), "targets": targets}


def loss_ours(loss: Loss, given: Arrays) -> Arrays:
    """Return the loss of each sample and the gradient of the scores, as here."""
    losses, saved = loss.forward(given["scores"], given["targets"])
    return {"y": losses, "dx": loss.backward(saved, BATCH)}


def loss_theirs(loss: Loss, given: Arrays) -> Arrays:
    """Return the same by PyTorch."""
    scores = torch.from_numpy(given["scores"].copy()).requires_grad_()
    targets = torch.from_numpy(given["targets"])
    if isinstance(loss, SoftmaxCrossEntropy):
        weights = None if loss.class_weights is None else torch.tensor(loss.class_weights, dtype=scores.dtype)
        losses = functional.cross_entropy(
            scores, targets, weight=weights, label_smoothing=loss.label_smoothing, reduction="none"
        )
    elif isinstance(loss, BinaryCrossEntropy):
        positive = (
            None if loss.positive_weights is None else torch.tensor(loss.positive_weights, dtype=scores.dtype)
        )
        losses = functional.binary_cross_entropy_with_logits(
            scores, targets, pos_weight=positive, reduction="none"
        ).mean(dim=1)
    else:
        losses = functional.mse_loss(scores, targets, reduction="none").mean(dim=1)
    losses.mean().backward()
    return {"y": losses.detach().numpy(), "dx": scores.grad.numpy()}


def _optimizers() -> Iterator[tuple[Optimizer, Arrays]]:
    generator = np.random.default_rng(SEED)
    parse: TypeAdapter[Optimizer] = TypeAdapter(AnyOptimizer)
    for kind in OPTIMIZERS:
        for example in kind.examples:
            yield (
                parse.validate_python(example),
                {"weight": _drawn(generator, *WEIGHTS), "gradients": _drawn(generator, STEPS, *WEIGHTS)},
            )


def optimizer_ours(optimizer: Optimizer, given: Arrays) -> Arrays:
    """Return the weights after each of the steps, as here."""
    weight = given["weight"].copy()
    slots = optimizer.first_slots(weight)
    path = []
    for step, gradient in enumerate(given["gradients"], start=1):
        optimizer.step(weight, gradient, slots, optimizer.rate(), step)
        path.append(weight.copy())
    return {"w path": np.stack(path)}


def optimizer_theirs(optimizer: Optimizer, given: Arrays) -> Arrays:
    """Return the same by PyTorch; what it does not have is done by hand.

    That is decoupled decay of SGD, how far LARS trusts a layer, and the way back of Lookahead.
    """
    weight = torch.from_numpy(given["weight"].copy()).requires_grad_()
    slow = weight.detach().clone()
    inner: Any = optimizer.inner if isinstance(optimizer, Lookahead) else optimizer
    descent = _descent(inner, weight)
    path = []
    for step, gradient in enumerate(given["gradients"], start=1):
        if isinstance(inner, SGD) and inner.decoupled:
            weight.data.mul_(1 - inner.learning_rate * inner.weight_decay)
        direction = torch.from_numpy(gradient.copy())
        if isinstance(inner, LARS):
            length = weight.detach().norm()
            trust = inner.trust * length / (direction.norm() + inner.weight_decay * length)
            direction = trust * (direction + inner.weight_decay * weight.detach())
        weight.grad = direction
        descent.step()
        if isinstance(optimizer, Lookahead) and step % optimizer.every == 0:
            slow.lerp_(weight.detach(), optimizer.share)
            weight.data.copy_(slow)
        path.append(weight.detach().numpy().copy())
    return {"w path": np.stack(path)}


def _descent(optimizer: Any, weight: torch.Tensor) -> torch.optim.Optimizer:
    rate, decay = optimizer.learning_rate, optimizer.weight_decay
    if isinstance(optimizer, LARS):
        return torch.optim.SGD([weight], lr=rate, momentum=optimizer.momentum)
    if isinstance(optimizer, SGD):
        return torch.optim.SGD(
            [weight],
            lr=rate,
            momentum=optimizer.momentum,
            nesterov=optimizer.nesterov,
            weight_decay=0.0 if optimizer.decoupled else decay,
        )
    if isinstance(optimizer, RMSProp):
        return torch.optim.RMSprop(
            [weight],
            lr=rate,
            alpha=optimizer.smoothing,
            eps=optimizer.epsilon,
            momentum=optimizer.momentum,
            centered=optimizer.centred,
            weight_decay=decay,
        )
    kind = torch.optim.AdamW if optimizer.decoupled else torch.optim.Adam
    betas = (optimizer.beta_1, optimizer.beta_2)
    return kind([weight], lr=rate, betas=betas, eps=optimizer.epsilon, weight_decay=decay)
