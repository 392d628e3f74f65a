"""All weights of a network in one run of memory, as nodes send them: the one place that says in which order."""

from __future__ import annotations

import numpy as np

from engine.arrays import Array, elements
from engine.graph.network import Network


def count_numbers(network: Network) -> int:
    """Return how many numbers all weights of a network have, trained or not."""
    return sum(elements(spec.shape) for spec in network.weight_specs.values())


def laid_out(network: Network, memory: Array) -> dict[str, Array]:
    """Return the weights of a network as views of memory (n,), by their full names.

    `Flat` has those that are trained, in an order that suits optimizers; here are statistics as well.
    """
    found: dict[str, Array] = {}
    begin = 0
    for name, spec in network.weight_specs.items():
        end = begin + elements(spec.shape)
        found[name] = memory[begin:end].reshape(spec.shape)
        begin = end
    return found


def empty(network: Network) -> Array:
    """Return memory for all weights of a network, (n,)."""
    return np.zeros(count_numbers(network), np.float32)
