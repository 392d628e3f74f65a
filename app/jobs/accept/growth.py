"""The warnings of a job when its data set has more pictures or corrections, or is about to, than the job will see."""

from __future__ import annotations

from app.jobs.kinds import ADDITION
from app.store import Store
from app.store.records import DatasetRecord


def growth_warnings(
    dataset: DatasetRecord, images: int, revision: int, store: Store, *, continued: str | None = None
) -> tuple[str, ...]:
    """Say which pictures and corrections of a data set a job will not see.

    Args:
        dataset: the data set as it is now.
        images: how many of its pictures the job sees.
        revision: as it was corrected in which revision.
        store: where the jobs are.
        continued: the job that it goes on from, if it does.
    """
    warnings = []
    if dataset.images > images:
        warnings.append(
            f"data set {dataset.id!r} has {dataset.images} pictures now, and this job goes on with the {images} of job "
            f"{continued!r}; to train on all of them start a new job, perhaps with `initial_weights`"
        )
    if dataset.revision > revision:
        warnings.append(
            f"data set {dataset.id!r} was corrected since: it has revision {dataset.revision} now, and this job goes "
            f"on with revision {revision} of job {continued!r}; to train on what is corrected start a new job, perhaps "
            "with `initial_weights`"
        )
    pending = store.jobs.unfinished([ADDITION.name], dataset_id=dataset.id)
    if pending:
        listed = ", ".join(job.id for job in pending[:3]) + (", ..." if len(pending) > 3 else "")
        warnings.append(
            f"pictures are being added to data set {dataset.id!r} ({listed}); this job sees none of them: to have them "
            f"in it, wait until GET /v1/datasets/{dataset.id} says `adding` 0"
        )
    return tuple(warnings)
