"""A batch prediction that is cut into parts: it waits for them, and gathers what they found."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from app.errors import Damaged
from app.ids import sibling
from app.jobs.heartbeat import Heartbeat
from app.jobs.kinds import BATCH_PART
from app.jobs.requests import BatchPartRequest, BatchPredictionRequest
from app.jobs.work.prediction_table import Position
from app.states import JobStatus
from app.store import Store
from app.store.job_parts import PartState
from app.store.records import JobRecord, Json

log = logging.getLogger(__name__)

_MOST_PARTS = 1000
"""How many there are at most: of more pictures each looks at more."""
_INTERVAL = 0.5


class PartFailed(Exception):
    """A part cannot be done, and so the whole cannot.

    Attributes:
        error: `{"code", "message"}` of the part.
    """

    def __init__(self, part: PartState) -> None:
        self.error: Json = part.error or {
            "code": "internal",
            "message": f"part {part.id} has {part.status} by itself",
        }
        super().__init__(self.error["message"])


def divided(job: JobRecord, request: BatchPredictionRequest, together: int) -> list[JobRecord]:
    """Return the parts of a batch prediction.

    Args:
        job: the batch prediction.
        request: what it is asked for.
        together: how many pictures are looked at together; where a part ends they would do so in any case, so that
            the numbers are the same as without parts.
    """
    wanted = max(request.part_images, -(-request.images // _MOST_PARTS))
    size = -(-wanted // together) * together
    prefix = sibling(job.id, BATCH_PART.prefix)
    return [
        BATCH_PART.job(
            BatchPartRequest(first=first, images=min(size, request.images - first)),
            f"{prefix}_{number:04}",
            part_of=job.id,
            origin=job.origin,
        )
        for number, first in enumerate(range(0, request.images, size), 1)
    ]


def gather(
    job: JobRecord, request: BatchPredictionRequest, together: int, store: Store, beat: Heartbeat
) -> tuple[Position, list[str]]:
    """Wait until all parts have succeeded; return how far they came together, and their files in order.

    Parts that an earlier attempt has made go on.

    Raises:
        Interrupted, StaleAttempt: as `beat` does.
        PartFailed: one cannot be done.
        Damaged: there are not the parts that there should be.
    """
    store.job_parts.create(job.id, job.attempt, divided(job, request, together))
    while True:
        parts = store.job_parts.of(job.id)
        beat(_progress(parts, request.images))
        for part in parts:
            if part.status.finished and part.status is not JobStatus.SUCCEEDED:
                raise PartFailed(part)
        if all(part.status is JobStatus.SUCCEEDED for part in parts):
            break
        time.sleep(_INTERVAL)
    positions = [(part.id, Position.model_validate(part.checkpoint or {})) for part in parts]
    whole = Position(
        images=sum(position.images for _, position in positions),
        failed=sum(position.failed for _, position in positions),
    )
    if whole.images != request.images:
        raise Damaged.of("batch prediction", job.id, "rows of its parts are missing")
    log.info("all %d parts have succeeded", len(parts))
    beat(whole.progress(request.images), force=True)
    return whole, [name for part_id, position in positions for name in position.names(part_id)]


def _progress(parts: Sequence[PartState], total: int) -> Json:
    """Return how far the parts are together; one that has not begun says nothing."""
    images, failed = (sum(part.progress.get(name, 0) for part in parts) for name in ("images", "failed"))
    return Position(images=images, failed=failed).progress(total)
