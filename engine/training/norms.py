"""Lengths of gradients and weights, node by node: they show gradients that vanish or explode on their way back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from engine.arrays import Array
from engine.ops.reduction import length
from engine.workspace import FRESH, Buffers

VANISHING = 1e-3
"""A gradient vanishes that is shorter than this share of the longest of the same epoch. A good start keeps gradients
alike from layer to layer (Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural
networks, section 4.2), and one learning rate serves them all; with this share a layer is a thousand times slower.
In networks that learn, residual ones of 20 layers too, the shortest has a hundredth of the longest, or more."""
GROWTH = 10.0
"""A gradient explodes that is so many times as long as the longest of all nodes in the first epoch. Exploding is a
large increase in training (Pascanu et al. 2013, On the difficulty of training recurrent neural networks, section 1);
ten times the average is where section 3.2 has it clipped at the latest."""
STEEP = 10.0
"""A gradient explodes, too, that is so many times as long as the weights: at a learning rate of 0.01 a plain step
changes a tenth of them, where about a thousandth is healthy (Karpathy, CS231n, Ratio of weights:updates)."""

_EXACT = (1e-30, 1e30)
"""Squares between these are sums of float32 squares to six digits; others have lost some at the ends of its range."""


class NodeNorms(BaseModel):
    """The Euclidean lengths of one node's gradient and of its trained weights, over an epoch."""

    model_config = ConfigDict(frozen=True)

    gradient: float
    """Mean over the steps that were measured, before clipping."""
    largest_gradient: float
    """The largest of these steps."""
    weight: float
    """After the epoch's last step."""

    def vanishes(self, longest: float) -> bool:
        """Tell whether the gradient is too short, beside the longest of all nodes in the epoch."""
        return self.gradient < VANISHING * longest

    def explodes(self, longest: float) -> bool:
        """Tell whether the gradient is too long, beside the longest of all in the first epoch or beside the weights."""
        return self.gradient > GROWTH * longest or self.gradient > STEEP * self.weight


@dataclass
class GradientTally:
    """Sums over the steps of the epoch under way whose gradients were measured, by node."""

    steps: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    largest: dict[str, float] = field(default_factory=dict)

    def add(self, lengths: Mapping[str, float]) -> None:
        """Count the gradient of one step."""
        self.steps += 1
        for node, found in lengths.items():
            self.sums[node] = self.sums.get(node, 0.0) + found
            self.largest[node] = max(self.largest.get(node, 0.0), found)

    def document(self) -> dict[str, Any]:
        """Return it JSON-ready; `GradientTally(**document)` takes it back."""
        return {"steps": self.steps, "sums": self.sums, "largest": self.largest}

    def norms(self, weights: Mapping[str, float]) -> dict[str, NodeNorms]:
        """Return the norms of the nodes whose weights have these lengths; none if no step was measured."""
        if not self.steps:
            return {}
        return {
            node: NodeNorms(
                gradient=self.sums[node] / self.steps,
                largest_gradient=self.largest[node],
                weight=weight,
            )
            for node, weight in weights.items()
        }


def node_lengths(arrays: Mapping[str, Array], buffers: Buffers = FRESH) -> dict[str, float]:
    """Return the length of each node's arrays, seen as one vector; arrays go by `<node>/<weight>`."""
    squares: dict[str, float] = {}
    for name, array in arrays.items():
        node = name.rpartition("/")[0]
        numbers = array.reshape(-1)
        with np.errstate(over="ignore"):
            square = float(numbers @ numbers)
        if not _EXACT[0] < square < _EXACT[1]:
            square = length(numbers, buffers) ** 2
        squares[node] = squares.get(node, 0.0) + square
    return {node: math.sqrt(square) for node, square in squares.items()}
