"""A model opened to look inside: its network, its weights, and pictures as the first layer receives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from app.errors import Invalid
from app.models.prediction import Picture, preprocess
from app.models.predictors import Predictors
from app.pictures.bounds import Bounds
from app.store.records import ModelRecord
from app.text import nearest
from engine.arrays import Array
from engine.errors import GraphError
from engine.graph.network import Network
from engine.graph.node import Node
from engine.graph.trace import find_node
from engine.model.model_file import Model

_MOST_NAMES = 20
"""Names of nodes that an error lists."""


@dataclass(frozen=True)
class OpenedModel:
    """A model with the network that its architecture describes: a final softmax is a node of it."""

    record: ModelRecord
    model: Model
    network: Network

    @property
    def scoring(self) -> Network:
        """The network up to the scores that the loss takes: without a final softmax or sigmoid of the architecture."""
        return self.network.without_final(self.model.loss.link)

    def without_final(self) -> OpenedModel:
        """Return the same with the network up to the scores, see `scoring`: the one that gradients are taken in."""
        return replace(self, network=self.scoring)

    def node(self, name: str, parameter: str = "node", others: Sequence[str] = ()) -> Node:
        """Return the node of a name; the name of a block stands for its last node.

        Args:
            name: of the node or block.
            parameter: where the caller wrote it.
            others: names that the call takes beside those of nodes, for the error to list.

        Raises:
            Invalid: there is none; the error lists the names that there are, similar ones first.
        """
        try:
            return find_node(self.network, name)
        except GraphError:
            raise unknown_node(name, [*_names(self.network), *others], parameter) from None

    def images(self, pictures: Sequence[Picture], bounds: Bounds) -> Array:
        """Decode, fit and preprocess pictures: float32 (N, H, W, C), what the first layer receives.

        Raises:
            Invalid: one is no picture, or is damaged.
            TooLarge: one has too many pixels.
        """
        bounds.go_on()
        pixels = np.stack([preprocess(self.record, picture, bounds) for picture in pictures])
        return pixels if pixels.dtype == np.float32 else self.model.preprocessing.apply(pixels)


def open_model(predictors: Predictors, record: ModelRecord) -> OpenedModel:
    """Return a model that predictions have loaded, or load it for them too.

    Raises:
        Damaged: the file is missing or damaged.
    """
    model = predictors.get(record).model
    return OpenedModel(record, model, Network.build(model.architecture))


def _names(network: Network) -> list[str]:
    """Return the names of all nodes, and then those of the blocks that they are in."""
    names = [node.name for node in network.nodes]
    blocks = [name.rpartition("/")[0] for name in names if "/" in name]
    return list(dict.fromkeys([*names, *blocks]))


def unknown_node(name: str, names: Sequence[str], parameter: str = "node", kind: str = "node") -> Invalid:
    """Make the error for a name that none of the nodes to choose from has."""
    ranked = nearest(name, names)
    listed = ", ".join(ranked[:_MOST_NAMES])
    more = f" and {len(ranked) - _MOST_NAMES} more" if len(ranked) > _MOST_NAMES else ""
    detail = f"there is no {kind} of the name {name[:100]!r}"
    return Invalid.at(parameter, detail, f"choose one of {listed}{more}", parameter=True)
