"""Answers about the server itself."""

from __future__ import annotations

from app.api.system import KindOfJobs
from app.jobs.kinds import ASKED_FOR
from app.states import ACTIVE, JobStatus
from app.store.queues import Counts


def kinds_of_jobs(counts: Counts) -> list[KindOfJobs]:
    """Show how many jobs of each kind have not ended."""
    return [
        KindOfJobs(
            kind=kind,
            running=sum(counts.get((kind, status), 0) for status in ACTIVE),
            queued=counts.get((kind, JobStatus.QUEUED), 0),
        )
        for kind in ASKED_FOR
    ]
