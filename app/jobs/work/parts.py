"""A job that is cut into parts: it waits for them, and gathers what they found."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from app.errors import Damaged
from app.ids import sibling
from app.jobs.faults import PartFailed
from app.jobs.heartbeat import Heartbeat
from app.jobs.kinds import KINDS, Kind
from app.jobs.requests import PartRequest
from app.jobs.work.rows import Position
from app.states import JobStatus
from app.store import Store
from app.store.job_parts import PartState
from app.store.records import JobRecord, Json

log = logging.getLogger(__name__)

_MOST_PARTS = 1000
"""How many there are at most: of more pictures each looks at more."""
_INTERVAL = 0.5


@dataclass(frozen=True)
class Division:
    """How a job is cut.

    Attributes:
        kind: of the parts.
        images: how many pictures the whole looks at.
        part_images: about how many each part looks at.
        starts: where a part may begin, in order: pictures that would not be looked at together with the one before in
            any case, so that the numbers are the same as without parts.
        shown: what the progress of the whole is made of.
    """

    kind: Kind
    images: int
    part_images: int
    starts: Iterable[int]
    shown: Sequence[str] = ("images", "failed", "of", "fraction")

    def parts(self, job: JobRecord) -> list[JobRecord]:
        """Return the parts of a job, each with a range of its pictures."""
        wanted = max(self.part_images, -(-self.images // _MOST_PARTS))
        firsts = [0]
        firsts.extend(start for start in self.starts if start - firsts[-1] >= wanted)
        prefix = sibling(job.id, self.kind.prefix)
        return [
            self.kind.job(
                PartRequest(first=first, images=end - first),
                f"{prefix}_{number:04}",
                part_of=job.id,
                origin=job.origin,
            )
            for number, (first, end) in enumerate(pairwise([*firsts, self.images]), 1)
        ]

    def progress(self, position: Position) -> Json:
        """Return what the whole shows."""
        progress = position.progress(self.images)
        return {name: progress[name] for name in self.shown}


def gather(job: JobRecord, division: Division, store: Store, beat: Heartbeat) -> tuple[Position, list[str]]:
    """Wait until all parts have succeeded; return how far they came together, and their files in order.

    Parts that an earlier attempt has made go on.

    Raises:
        Interrupted, StaleAttempt: as `beat` does.
        PartFailed: one cannot be done.
        Damaged: there are not the parts that there should be.
    """
    store.job_parts.create(job.id, job.attempt, division.parts(job))
    while True:
        parts = store.job_parts.of(job.id)
        beat(division.progress(_together(parts)))
        for part in parts:
            if part.status.finished and part.status is not JobStatus.SUCCEEDED:
                unsaid: Json = {"code": "internal", "message": f"part {part.id} has {part.status} by itself"}
                raise PartFailed(part.error or unsaid)
        if all(part.status is JobStatus.SUCCEEDED for part in parts):
            break
        time.sleep(_INTERVAL)
    positions = [(part.id, Position.model_validate(part.checkpoint or {})) for part in parts]
    whole = Position(
        images=sum(position.images for _, position in positions),
        failed=sum(position.failed for _, position in positions),
    )
    if whole.images != division.images:
        raise Damaged.of(KINDS[job.kind].noun, job.id, "what its parts have found is missing")
    log.info("all %d parts have succeeded", len(parts))
    beat(division.progress(whole), force=True)
    return whole, [name for part_id, position in positions for name in position.names(part_id)]


def _together(parts: Sequence[PartState]) -> Position:
    """Return how far the parts are together; one that has not begun says nothing."""
    images, failed = (sum(part.progress.get(name, 0) for part in parts) for name in ("images", "failed"))
    return Position(images=images, failed=failed)
