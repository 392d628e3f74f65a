"""How a batch is run through a network and back; training does not care which way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from engine.arrays import Array, Bytes, Weights
from engine.execution.flat import Flat
from engine.graph.network import Network
from engine.inputs.batch import Batch
from engine.inputs.preparation import Preparation
from engine.layers import Context
from engine.recipe.losses import Loss


@dataclass(frozen=True)
class Pass:
    """What one batch gave; arrays may be used again by the next pass."""

    scores: Array
    """(N, K), before the loss's link."""
    losses: Array
    """(N,)"""
    gradients: Flat
    """Of the mean loss over the whole step, by full name."""
    updates: dict[str, Array]
    """New values of what is not trained by gradients."""
    targets: Array
    """(n, K), as they were trained for: mixed where pictures were."""


class Execution(Protocol):
    """Runs batches; the shares, kernels and tiles that it uses are in `pins`, for they change bits."""

    @property
    def pins(self) -> dict[str, str]:
        """What has to be the same for the same bytes."""
        ...

    def reads(self, pictures: int) -> int:
        """Return how many of a batch of so many pictures, the first ones, are read here: the others are elsewhere."""
        ...

    def train(self, weights: Weights, batch: Batch, pictures: int, context: Context) -> Pass:
        """Prepare a batch, and run it forwards and backwards.

        Args:
            weights: of the network, by full name.
            batch: pictures as they are stored.
            pictures: size of the whole step, which the loss divides by.
            context: of this step; `first_sample` says where the batch stands in it.
        """
        ...

    def scores(self, weights: Weights, images: Bytes) -> Array:
        """Return the scores (N, K) of pictures (N, H, W, C) as in inference: normalised only."""
        ...


class PlainExecution:
    """Layer by layer, in one thread: what every other way is tested against."""

    def __init__(self, network: Network, loss: Loss, preparation: Preparation) -> None:
        self._network, self._loss, self._preparation = network, loss, preparation

    @property
    def pins(self) -> dict[str, str]:
        """Nothing but the libraries changes bits here."""
        return {}

    def reads(self, pictures: int) -> int:
        """Return how many pictures of a batch are read here: all."""
        return pictures

    def train(self, weights: Weights, batch: Batch, pictures: int, context: Context) -> Pass:
        """Run a batch forwards and backwards."""
        x, targets = self._preparation.training(batch, context.bound("input/preparation"))
        tape = self._network.forward(weights, x, context)
        losses, saved = self._loss.forward(tape.output, targets)
        found = self._network.backward(tape, self._loss.backward(saved, pictures))
        gradients = Flat(self._network.weight_specs, dtype=losses.dtype)
        gradients.take(found)
        return Pass(tape.output, losses, gradients, context.updates, targets)

    def scores(self, weights: Weights, images: Bytes) -> Array:
        """Return the scores of a batch."""
        x = self._preparation.inference(images)
        return self._network.forward(weights, x, Context()).output
