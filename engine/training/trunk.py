"""Training behind a frozen trunk: what it makes of a picture never changes, so that it is computed once and kept.

`split_network` cuts a network behind the last layer before which nothing learns and nothing is random; a run then
trains the `rest` on features in place of pictures. `narrowed` and `widened` turn the state of the one run into that of
the other: checkpoints and models are those of the whole network, whichever way it is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from engine.arrays import Array, Indices
from engine.graph.network import INPUT, Network, Node
from engine.inputs.feed import TrainingData
from engine.inputs.preparation import Preparation
from engine.recipe.config import TrainingConfig
from engine.training.state import TrainingState

_LIGHT = 2_000_000
"""Multiply-adds for each picture: those of a head, but not of a convolution on maps."""


@dataclass(frozen=True)
class Split:
    """A network in two."""

    trunk: Network
    """From pictures (H, W, C) to features."""
    rest: Network
    """From features to scores; its nodes keep their names, and with them their random draws."""

    @property
    def node(self) -> str:
        """The name of the node whose output the features are."""
        return self.trunk.nodes[-1].name

    @property
    def is_light(self) -> bool:
        """Whether the rest is so little that one thread runs it layer by layer sooner than plans are ready to."""
        return self.rest.multiply_adds <= _LIGHT

    def narrowed(self, state: TrainingState) -> TrainingState:
        """Return the state of the rest's run; its arrays are those of the whole one."""
        return _with_arrays(state, lambda arrays: {name: arrays[name] for name in self.rest.weight_specs})

    def widened(self, state: TrainingState, weights: Mapping[str, Array]) -> TrainingState:
        """Return the state of the whole network's run, with the trunk's weights as they are in `weights`."""
        trunk = {name: weights[name] for name in self.trunk.weight_specs}
        return _with_arrays(state, lambda arrays: trunk | arrays)

    def config(self, config: TrainingConfig) -> TrainingConfig:
        """Return how the rest is trained where the whole network is to be trained like this."""
        names = [node.name for node in self.rest.nodes if node.trainable_parameters]
        factors = {
            pattern: factor
            for pattern, factor in config.learning_rate_factors.items()
            if any(fnmatchcase(name, pattern) for name in names)
        }
        return config.model_copy(update={"freeze": (), "augmentations": (), "learning_rate_factors": factors})


def split_network(network: Network) -> Split | None:
    """Return where to cut a network as late as it can be; None where its first layers learn or cost nothing.

    Args:
        network: as it is trained: frozen, without a final link of the loss.
    """
    fixed = next((place for place, node in enumerate(network.nodes) if not _is_fixed(node)), 0)
    for count in range(fixed, 0, -1):
        trunk, behind = network.nodes[:count], network.nodes[count:]
        last = trunk[-1].name
        above = {INPUT, *(node.name for node in trunk)}
        if {name for node in behind for name in node.inputs} & above != {last}:
            continue
        if not any(node.weights for node in trunk):
            return None
        renamed = tuple(
            replace(node, inputs=tuple(INPUT if name == last else name for name in node.inputs))
            for node in behind
        )
        return Split(Network(network.input_shape, trunk), Network(trunk[-1].output_shape, renamed))
    return None


@dataclass(frozen=True)
class FeatureSet:
    """What the trunk makes of labelled pictures: what training takes as an `ImageSet`."""

    features: Array
    """(m, ...), those of other pictures too."""
    answers: Array
    """Classes, int64 (n,), or targets (n, K)."""
    places: Indices | None = None
    """Where among the features those of each picture are, (n,); in their order by default."""

    def __len__(self) -> int:
        return len(self.answers)

    def read(self, indices: Indices) -> tuple[Array, Array]:
        """Copy out features and their classes or targets."""
        places = indices if self.places is None else self.places[indices]
        return self.features[places], self.answers[indices]


def feature_data(
    data: TrainingData,
    train: FeatureSet,
    dev: FeatureSet,
    test: FeatureSet,
    variants: Sequence[FeatureSet] = (),
) -> TrainingData:
    """Return the same data set with features in place of its pictures; those to train on may be in variants."""
    shape = train.features.shape[1:]
    return replace(data, train=train, dev=dev, test=test, image_shape=shape, variants=tuple(variants))


UNCHANGED = Preparation(preprocessing=None)
"""Features go into the rest of the network as they are."""


def _is_fixed(node: Node) -> bool:
    return not node.layer.random and not (node.weights and node.layer.trainable)


def _with_arrays(
    state: TrainingState, change: Callable[[dict[str, Array]], dict[str, Array]]
) -> TrainingState:
    return replace(
        state,
        weights=change(state.weights),
        average=None if state.average is None else change(state.average),
        best_weights=None if state.best_weights is None else change(state.best_weights),
    )
