"""Whether this installation has the memory for a training job, said before the job is accepted."""

from __future__ import annotations

from collections.abc import Sequence

from app.errors import Invalid
from app.settings import Settings
from app.store.records import DatasetRecord
from engine.arrays import elements
from engine.augmentations import partners
from engine.graph.network import Network
from engine.recipe.config import TrainingConfig
from engine.training.features import extractor_bytes
from engine.training.footprint import Footprint
from engine.training.transfer import freeze
from engine.training.trunk import split_network

BASELINE = 90 << 20
"""Bytes of a worker before it has read anything: the interpreter, NumPy, the database."""
_FLOAT = 4
_WORTH = 4
"""How many times the work of the layers behind it a trunk has to be for features: those layers run one after another in
one thread, not by plans."""


def features_memory(
    network: Network, config: TrainingConfig, dataset: DatasetRecord, settings: Settings, variants: int
) -> int | None:
    """Return how many bytes of memory a job needs that trains behind a frozen trunk, on features that are kept.

    None where there is no such trunk, or not much of one, where pictures are new in every epoch, or where features
    are more than may be kept.

    Args:
        network: as it is written, perhaps with a final link.
        config: how it is trained.
        dataset: on what.
        settings: the limits.
        variants: how many of each picture there are where it is augmented; 0 for new ones in every epoch.
    """
    split = split_network(freeze(network.without_final(config.loss.link), config.freeze))
    if split is None or split.trunk.multiply_adds < _WORTH * split.rest.multiply_adds:
        return None
    if partners(config.augmentations) or (config.augmentations and not variants):
        return None
    others = dataset.splits["train"] * (variants - 1) if config.augmentations else 0
    kept = (dataset.images + others) * elements(split.rest.input_shape) * _FLOAT
    footprint = Footprint(
        split.rest, split.config(config), train=dataset.splits["train"], dev=dataset.splits["dev"], shares=1
    )
    computing = extractor_bytes(split.trunk, settings.worker_threads)
    # as they are read, and split by split
    needed = BASELINE + 2 * kept + max(computing, footprint.bytes())
    return needed if kept <= settings.max_feature_bytes and needed <= settings.max_training_bytes else None


def check_stages(
    network: Network,
    stages: Sequence[TrainingConfig],
    dataset: DatasetRecord,
    settings: Settings,
    variants: int | None,
) -> tuple[int, bool]:
    """Return how many bytes of memory a job is expected to need, and whether its first stage trains on features.

    Args:
        network: as it is written, perhaps with a final link.
        stages: how it is trained.
        dataset: on what.
        settings: the limits.
        variants: how many of each picture that is augmented have features; None for a job that is no transfer, of
            whose trunk no other job would use any.

    Raises:
        Invalid: that is more than a job may need here.
    """
    kept = None
    if variants is not None:
        kept = features_memory(network, stages[0], dataset, settings, variants)
    others = stages if kept is None else stages[1:]
    needed = [check_memory(network, config, dataset, settings) for config in others]
    return max([*needed, kept or 0]), kept is not None


def check_memory(network: Network, config: TrainingConfig, dataset: DatasetRecord, settings: Settings) -> int:
    """Return how many bytes of memory a job is expected to need.

    Args:
        network: as it is written, perhaps with a final link.
        config: how it is trained.
        dataset: on what.
        settings: the limit.

    Raises:
        Invalid: that is more than a job may need here.
    """
    footprint = Footprint(
        network.without_final(config.loss.link),
        config,
        train=dataset.splits["train"],
        dev=dataset.splits["dev"],
        shares=settings.worker_threads,
    )
    limit = settings.max_training_bytes
    needed = BASELINE + footprint.bytes()
    if needed <= limit:
        return needed
    fits = footprint.largest_batch(limit - BASELINE)
    detail = f"the job needs about {needed} bytes of memory, and {limit} are allowed"
    hint = f"a batch_size of {fits} fits" if fits else "no batch_size fits: use a smaller network"
    if fits and config.accumulate == 1:
        hint += ", with `accumulate` for as many pictures in a step"
    numbers = {"needed_bytes": needed, "limit_bytes": limit, "largest_batch_size": fits or None}
    raise Invalid.at("batch_size", detail, hint, code="memory-limit-exceeded", numbers=numbers)
