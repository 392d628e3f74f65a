"""Lengths of gradients and weights: from what is stored to the answer and its picture."""

from __future__ import annotations

from collections.abc import Sequence

from app.api.norms import NodeSeries, TrainingNorms
from app.pictures import norms as picture
from app.pictures.drawing import Drawing
from app.store.records import Json, NormsRecord
from engine.training.norms import NodeNorms

_INFINITE = float("inf")


def training_norms(epochs: Sequence[NormsRecord]) -> TrainingNorms:
    """Show the norms of some epochs.

    Raises:
        ValueError: they are not those of one network.
    """
    rows = [{node: _norms(stored) for node, stored in epoch.norms.items()} for epoch in epochs]
    if not rows:
        return TrainingNorms(epochs=[], nodes=[], vanishing=[], exploding=[])
    last = rows[-1]
    # where the head learns alone at first, the other nodes have none
    if any(not row.keys() <= last.keys() for row in rows):
        raise ValueError("an epoch has nodes that the last one has not")
    first = next(row for row in rows if row.keys() == last.keys())
    longest_first, longest = (max(norms.gradient for norms in row.values()) for row in (first, last))
    return TrainingNorms(
        epochs=[epoch.epoch for epoch in epochs],
        nodes=[
            NodeSeries(
                name=node,
                **{
                    name: [getattr(row.get(node), name, None) for row in rows]
                    for name in NodeNorms.model_fields
                },
            )
            for node in last
        ],
        vanishing=[node for node, norms in last.items() if norms.vanishes(longest)],
        exploding=[node for node, norms in last.items() if norms.explodes(longest_first)],
    )


def norms_chart(norms: TrainingNorms) -> Drawing:
    """Draw the answer."""
    return picture.chart(
        norms.epochs,
        {node.name: node.gradient for node in norms.nodes},
        {node.name: node.weight for node in norms.nodes},
        norms.vanishing,
        norms.exploding,
    )


def _norms(stored: Json) -> NodeNorms:
    """Read the norms of a node; null stands for what was not finite."""
    return NodeNorms(
        **{name: _INFINITE if stored[name] is None else stored[name] for name in NodeNorms.model_fields}
    )
