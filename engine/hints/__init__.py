"""What is likely to be a mistake in a network, each with its numbers and what to change: the one list of rules.

A rule is a function over the graph, in the file of its subject. It has a reason that is known, and is silent where
practice has good networks that do the same.
"""

from __future__ import annotations

from engine.graph.costs import Hint
from engine.graph.network import Network
from engine.hints import ends, pixels, reach, sequence, weights
from engine.hints.graph import Graph, Rule

RULES: tuple[Rule, ...] = (
    reach.receptive_field_small,
    reach.receptive_field_exceeded,
    pixels.pooling_first,
    pixels.edge_dropped,
    pixels.pixels_skipped,
    pixels.even_kernel_same,
    weights.weights_never_used,
    weights.dense_majority,
    weights.bias_before_normalization,
    weights.channels_shrink_early,
    sequence.no_nonlinearity_between,
    sequence.dropout_before_normalization,
    ends.link_before_loss,
    ends.relu_last,
    ends.output_unread,
)
"""A hint's code is the name of its function, in kebab-case."""

MOST_OF_A_KIND = 20
"""Hints of one code that are given: the first of very many."""


def find_hints(network: Network) -> list[Hint]:
    """Return the hints of a network, from its description alone: rule by rule, and by the order of layers."""
    graph = Graph(network)
    return [hint for rule in RULES for hint in _limited(rule, graph)]


def _limited(rule: Rule, graph: Graph) -> list[Hint]:
    code = rule.__name__.replace("_", "-")
    found = []
    for finding in rule(graph):
        found.append(finding.hint(code))
        if len(found) == MOST_OF_A_KIND:
            break
    return found


__all__ = ["MOST_OF_A_KIND", "RULES", "find_hints"]
