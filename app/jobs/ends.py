"""What follows when a job has ended, whoever ended it: a line in the server's log, and its spent files go."""

from __future__ import annotations

from datetime import datetime, timedelta

from app.files import paths
from app.files.artifacts import Artifacts
from app.log import Log
from app.states import JobStatus
from app.store import Store
from app.store.records import JobEnd, Json, now

log = Log(__name__)

_OVERLAP = timedelta(seconds=60)
"""How far back each look goes beyond the end that was seen last: the clock may have been set back."""


class Ends:
    """The ends of jobs since the server has started, each seen once."""

    def __init__(self, store: Store, artifacts: Artifacts) -> None:
        self._store = store
        self._artifacts = artifacts
        self._started = now()
        self._last = self._started
        self._seen: dict[str, datetime] = {}

    def look(self) -> None:
        """See to the jobs that have ended since the last look."""
        since = max(self._started, self._last - _OVERLAP)
        self._seen = {job_id: at for job_id, at in self._seen.items() if at >= since}
        for end in self._store.finished_jobs.ended(since):
            if end.id in self._seen:
                continue
            self._seen[end.id] = end.finished_at
            self._last = max(self._last, end.finished_at)
            _log_end(end)
            remove_spent_files(end.id, end.checkpoint, self._artifacts)


def _log_end(end: JobEnd) -> None:
    write = log.warning if end.status is JobStatus.FAILED else log.info
    began = end.started_at or end.created_at
    write(
        "job_ended",
        job=end.id,
        kind=end.kind,
        status=str(end.status),
        seconds=round((end.finished_at - began).total_seconds(), 3),
        error=end.error and end.error["code"],
    )


def remove_spent_files(job_id: str, checkpoint: Json | None, artifacts: Artifacts) -> None:
    """Remove what a job that has ended does not need any more: all checkpoints but the last, and what it began with.

    Args:
        job_id: the job.
        checkpoint: its last one, as its record has it.
        artifacts: where the files are.
    """
    directory = paths.directory(job_id)
    kept = None if checkpoint is None or "deleted_at" in checkpoint else checkpoint.get("name")
    artifacts.clean(directory, age=0)
    artifacts.delete(paths.initial(job_id))
    for name in artifacts.names(directory):
        if name != kept and name.startswith(f"{directory}/{paths.CHECKPOINT}"):
            artifacts.delete(name)
