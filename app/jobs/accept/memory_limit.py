"""Whether this installation has the memory for a training job, said before the job is accepted."""

from __future__ import annotations

from collections.abc import Sequence

from app.api.training_jobs import StageFeatures
from app.errors import Invalid
from app.jobs.accept.stage_features import BASELINE, stage_features
from app.settings import Settings
from app.store.records import DatasetRecord
from engine.graph.network import Network
from engine.recipe.config import TrainingConfig
from engine.training.footprint import Footprint


def check_stages(
    network: Network,
    stages: Sequence[TrainingConfig],
    dataset: DatasetRecord,
    settings: Settings,
    variants: int | None,
    nodes: int,
) -> tuple[int, tuple[StageFeatures, ...]]:
    """Return how many bytes of memory a job is expected to need, and of each stage whether it trains on features.

    Args:
        network: as it is written, perhaps with a final link.
        stages: how it is trained.
        dataset: on what.
        settings: the limits.
        variants: how many of each picture that is augmented have features, 0 for new ones in every epoch; None for a
            job that is no transfer, of whose trunk no other job would use any.
        nodes: on how many it is trained.

    Raises:
        Invalid: that is more than a job may need here.
    """
    needed, features = [], []
    for config in stages:
        memory = None
        if variants is not None:
            found, memory = stage_features(network, config, dataset, settings, variants)
            features.append(found)
        needed.append(check_memory(network, config, dataset, settings, nodes) if memory is None else memory)
    return max(needed), tuple(features)


def check_memory(
    network: Network, config: TrainingConfig, dataset: DatasetRecord, settings: Settings, nodes: int = 1
) -> int:
    """Return how many bytes of memory a job is expected to need: on each node, or on this machine on all of them.

    Args:
        network: as it is written, perhaps with a final link.
        config: how it is trained.
        dataset: on what.
        settings: the limit.
        nodes: on how many it is trained.

    Raises:
        Invalid: that is more than a job may need here.
    """
    footprint = Footprint(
        network.without_final(config.loss.link),
        config,
        train=dataset.splits["train"],
        dev=dataset.splits["dev"],
        shares=settings.threads_of(nodes),
        nodes=nodes,
    )
    here = 1 if settings.launcher == "ray" else nodes
    limit = settings.max_training_bytes // here
    needed = BASELINE + footprint.bytes()
    if needed <= limit:
        return needed * here
    needed, limit = needed * here, settings.max_training_bytes
    fits = footprint.largest_batch(limit // here - BASELINE)
    detail = f"the job needs about {needed} bytes of memory, and {limit} are allowed"
    hint = f"a batch_size of {fits} fits" if fits else "no batch_size fits: use a smaller network"
    if fits and config.accumulate == 1:
        hint += ", with `accumulate` for as many pictures in a step"
    numbers = {"needed_bytes": needed, "limit_bytes": limit, "largest_batch_size": fits or None}
    raise Invalid.at("batch_size", detail, hint, code="memory-limit-exceeded", numbers=numbers)
