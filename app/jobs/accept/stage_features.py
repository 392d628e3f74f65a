"""Whether a stage of a transfer learns from features: what its frozen layers make of each picture, computed once."""

from __future__ import annotations

from app.api.training_jobs import StageFeatures
from app.settings import Settings
from app.store.records import DatasetRecord
from engine.arrays import elements
from engine.augmentations import partners
from engine.graph.network import Network
from engine.recipe.config import TrainingConfig
from engine.training.features import extractor_bytes
from engine.training.footprint import Footprint
from engine.training.transfer import freeze
from engine.training.trunk import Split, split_network

BASELINE = 90 << 20
"""Bytes of a worker before it has read anything: the interpreter, NumPy, the database."""
_FLOAT = 4
_WORTH, _WORTH_LIGHT = 1, 4
"""How many times the work of the layers behind it a trunk has to be for features. Without any, an epoch takes that of
the trunk and, as gradients take twice as much as scores, three times that of the others; and where those are light they
would be done by plans, on all cores, instead of one after another."""


def stage_features(
    network: Network, config: TrainingConfig, dataset: DatasetRecord, settings: Settings, variants: int
) -> tuple[StageFeatures, int | None]:
    """Return whether a stage learns from features, and how many bytes of memory it then needs; else None.

    Args:
        network: as it is written, perhaps with a final link.
        config: how it is trained.
        dataset: on what.
        settings: the limits.
        variants: how many of each picture there are where it is augmented; 0 for new ones in every epoch.
    """
    split = split_network(freeze(network.without_final(config.loss.link), config.freeze))
    if split is None:
        reason = "the first layers learn"
        found = StageFeatures(until_epoch=config.epochs, cached=False, node=None, bytes=None, reason=reason)
        return found, None
    others = dataset.splits["train"] * max(0, variants - 1) if config.augmentations else 0
    kept = (dataset.images + others) * elements(split.rest.input_shape) * _FLOAT
    needed = _memory(split, config, dataset, settings, kept)
    why = _reason(split, config, settings, variants, kept, needed)
    found = StageFeatures(
        until_epoch=config.epochs, cached=why is None, node=split.node, bytes=kept, reason=why
    )
    return found, needed if found.cached else None


def _reason(
    split: Split, config: TrainingConfig, settings: Settings, variants: int, kept: int, needed: int
) -> str | None:
    """Return why every epoch has to run the trunk, or had better; None where it need not."""
    if split.trunk.multiply_adds < (_WORTH_LIGHT if split.is_light else _WORTH) * split.rest.multiply_adds:
        return "most of the work is in the layers that learn"
    if partners(config.augmentations):
        return "mixed pictures are new in every epoch"
    if config.augmentations and not variants:
        return "augmented pictures are new in every epoch, as `variants` asks for"
    if kept > settings.max_feature_bytes:
        return f"{kept} bytes are more than the {settings.max_feature_bytes} that may be kept"
    if needed > settings.max_training_bytes:
        return f"it would take {needed} bytes of memory, and {settings.max_training_bytes} are allowed"
    return None


def _memory(
    split: Split, config: TrainingConfig, dataset: DatasetRecord, settings: Settings, kept: int
) -> int:
    footprint = Footprint(
        split.rest,
        split.config(config),
        train=dataset.splits["train"],
        dev=dataset.splits["dev"],
        shares=1 if split.is_light else settings.worker_threads,
        number_bytes=_FLOAT,
    )
    computing = extractor_bytes(split.trunk, settings.worker_threads)
    return BASELINE + kept + max(computing, footprint.bytes())
