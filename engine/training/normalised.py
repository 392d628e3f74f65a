"""Normalisation over a single number, of which nothing is left: it is its own mean, and comes out as 0."""

from __future__ import annotations

from itertools import count

from engine.errors import ShapeError
from engine.graph.network import Network, Node
from engine.recipe.config import TrainingConfig
from engine.training.transfer import freeze


def check_layers(network: Network) -> None:
    """Raise ShapeError, with the path of the layer, if one normalises single numbers in batches of any size."""
    for node in network.nodes:
        if _numbers(node, 2) == 1:
            raise ShapeError(
                f"{node.name} would normalise over a single number, which comes out as 0: nothing is learned",
                path=node.path,
                hint="leave it out, or place it where the map, or the group of channels, is larger",
            )


def check_batches(network: Network, config: TrainingConfig, pictures: int) -> None:
    """Raise ShapeError, with the path `batch_size`, if a batch gives a layer single numbers to normalise over.

    Args:
        network: as it is trained.
        config: how.
        pictures: how many there are to train on.
    """
    nodes = [node for node in freeze(network, config.freeze).nodes if _numbers(node, 1) == 1]
    if not nodes or 1 not in _batches(pictures, config.batch_size):
        return
    which = "a batch" if config.batch_size == 1 or pictures == 1 else f"the last batch of {pictures} pictures"
    hint = "use group_norm or layer_norm instead, or train on more pictures"
    if pictures > 1:
        hint = f"use a batch_size of {_nearest(pictures, config.batch_size)}, or group_norm or layer_norm instead"
    raise ShapeError(
        f"{which} would be a single picture, of which {nodes[0].name} normalises a single number for each channel; "
        "that comes out as 0: nothing is learned",
        path=("batch_size",),
        hint=hint,
    )


def _numbers(node: Node, batch: int) -> int | None:
    return node.layer.normalises(batch, *node.input_shapes)


def _batches(pictures: int, batch_size: int) -> set[int]:
    """Return the sizes of the batches of an epoch; those of one step are cut like those of many."""
    if pictures <= batch_size:
        return {pictures}
    return {batch_size, pictures % batch_size or batch_size}


def _nearest(pictures: int, batch_size: int) -> int:
    """Return the size next to `batch_size` that leaves no picture alone."""
    sizes = (size for distance in count(1) for size in (batch_size - distance, batch_size + distance))
    return next(size for size in sizes if size > 1 and 1 not in _batches(pictures, size))
