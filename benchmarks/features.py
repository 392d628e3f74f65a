"""Our side of features: what a frozen trunk makes of many pictures, as transfer jobs compute it, on all cores."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.sides import SHARES, network
from engine.graph.network import Network
from engine.inputs.preprocessing import Preprocessing
from engine.recipe.config import TrainingConfig
from engine.training.features import FeatureExtractor
from engine.training.head import all_but, head_nodes
from engine.training.transfer import freeze
from engine.training.trunk import Split, split_network

_NORMAL = Preprocessing(mean=(0.5,) * 3, deviation=(0.25,) * 3)


def split(whole: Network, config: TrainingConfig) -> tuple[Split, TrainingConfig]:
    """Return a network in trunk and head, and how it is trained: the head alone."""
    config = config.model_copy(update={"freeze": all_but(whole, head_nodes(whole))})
    found = split_network(freeze(whole.without_final(config.loss.link), config.freeze))
    if found is None:
        raise ValueError("the network has no trunk")
    return found, config


def trunk(size: int) -> Network:
    """Return MobileNetV2 from square pictures (H, W, 3) to features."""
    return split(network("mobilenet-v2", size), TrainingConfig())[0].trunk


def ours(size: int, pictures: int) -> Callable[[], list[np.ndarray]]:
    """Return what computes the features of so many pictures, in as many at a time as jobs take.

    Turning bytes into floats is part of it, while the other side is given floats.
    """
    built = trunk(size)
    images = np.random.default_rng(0).integers(0, 256, (pictures, *built.input_shape), dtype=np.uint8)
    extractor = FeatureExtractor(built, built.initial_weights(0), _NORMAL, SHARES)
    return lambda: list(extractor.features(pictures, lambda first, last: images[first:last]))
