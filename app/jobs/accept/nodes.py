"""Whether a training job can have the nodes that it asks for, said before it is accepted."""

from __future__ import annotations

from app.errors import Invalid
from app.jobs.requests import TrainingRequest
from app.settings import Settings
from app.store.records import DatasetRecord

_UNAVAILABLE = "nodes-unavailable"


def check_most(nodes: int, settings: Settings) -> None:
    """Refuse more nodes than there are for a job.

    Raises:
        Invalid: that is so.
    """
    most = settings.most_nodes
    if nodes <= most:
        return
    if settings.launcher == "ray":
        detail = f"{nodes} nodes are asked for, and a job may have {most} of the cluster"
        hint = f"ask for at most {most}, or ask the operator to raise CONVSERVE_RAY_NODES"
    else:
        cores = "core" if most == 1 else "cores"
        detail = f"{nodes} nodes are asked for, each needs a core, and a job may use {most} {cores} of this machine"
        hint = f"ask for at most {most}: more are had on a Ray cluster"
    raise Invalid.at("nodes", detail, hint, code=_UNAVAILABLE)


def check_nodes(request: TrainingRequest, dataset: DatasetRecord, settings: Settings) -> None:
    """Refuse several nodes where there are not as many, or would not be anything for each to do.

    Raises:
        Invalid: that is so.
    """
    nodes = request.nodes
    if nodes == 1:
        return
    check_most(nodes, settings)
    shares = nodes * settings.threads_of(nodes)
    batch = min(request.batch_size, dataset.splits["train"])
    if batch < shares:
        detail = f"batches of {batch} pictures cannot be cut into {shares} shares, those of {nodes} nodes"
        hint = f"use a batch_size of at least {shares}, or fewer nodes"
        if batch < request.batch_size:
            hint = "use fewer nodes: there are no more pictures to train on"
        raise Invalid.at("nodes", detail, hint, code=_UNAVAILABLE)
    if any(stage.cached for stage in request.features):
        detail = "the job learns from features, which are computed once and kept: one node does that sooner"
        hint = "leave it out"
        raise Invalid.at("nodes", detail, hint, code=_UNAVAILABLE)
