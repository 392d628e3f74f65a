"""What follows when a job has ended, whoever ended it: it is logged and counted, and its spent files go."""

from __future__ import annotations

from functools import partial

from app.files import paths
from app.files.artifacts import Artifacts
from app.jobs.aside import Aside
from app.log import Log
from app.metrics.families import JOB_SECONDS, JOB_WAIT
from app.metrics.metrics import Metrics
from app.states import JobStatus
from app.store import Store
from app.store.records import JobEnd, Json

log = Log(__name__)


class Ends:
    """The ends of jobs, each seen once: those too that come while no server runs, by the next one.

    Who is killed between a line of the log and the note of it leaves the next one to write that line again.
    """

    def __init__(
        self,
        store: Store,
        artifacts: Artifacts,
        metrics: Metrics | None = None,
        aside: Aside | None = None,
    ) -> None:
        self._store = store
        self._artifacts = artifacts
        self._metrics = metrics or Metrics.alone()
        self._position: int | None = None
        """Of the events that were looked at last."""
        self._last = self._noted = 0
        """Of the last end, and of the last one that was noted."""
        self._spent: dict[str, JobEnd] = {}
        """Jobs that have ended and whose other files are to go."""
        self._aside = aside or Aside(self._metrics)

    def look(self) -> None:
        """See to the jobs that have ended since the last look, of whichever server.

        Files that cannot be removed now are tried again at the next look; nothing else waits for them.
        """
        if self._position is None:
            self._position = self._store.finished_jobs.seen()
        ends, position = self._store.finished_jobs.ended(self._position)
        for end in ends:
            self._position = self._last = end.position
            _log_end(end)
            self._count(end)
            self._spent[end.id] = end
        self._position = position
        for job_id, end in list(self._spent.items()):
            remove = partial(_remove, end, self._artifacts)
            if self._aside.done("files_not_removed", job_id, remove):
                del self._spent[job_id]
        if self._last > self._noted:
            self._store.finished_jobs.note_seen(self._last)
            self._noted = self._last

    def _count(self, end: JobEnd) -> None:
        began = end.started_at or end.finished_at
        seconds = (end.finished_at - began).total_seconds()
        self._metrics.histogram(JOB_SECONDS, end.kind, str(end.status)).observe(max(0.0, seconds))
        waited = (began - end.created_at).total_seconds()
        self._metrics.histogram(JOB_WAIT, end.kind).observe(max(0.0, waited))


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
        reason=end.error and end.error["message"],
    )


def _remove(end: JobEnd, artifacts: Artifacts) -> None:
    remove_spent_files(end.id, end.checkpoint, artifacts)
    _remove_lost_findings(end, artifacts)


def _remove_lost_findings(end: JobEnd, artifacts: Artifacts) -> None:
    """Remove what attempts found that died before they could say so: the job has succeeded in another, or in none."""
    present = set(artifacts.names(paths.directory(end.id)))
    for of in paths.FINDINGS:
        own = of(end.id, end.attempt) if end.status is JobStatus.SUCCEEDED else None
        if own is not None and own not in present:
            # an earlier version has written it as if by the first attempt
            continue
        for name in {of(end.id, attempt) for attempt in range(1, end.attempt + 1)} & present - {own}:
            artifacts.delete(name)


def remove_spent_files(job_id: str, checkpoint: Json | None, artifacts: Artifacts) -> None:
    """Remove what a job that has ended does not need: all checkpoints but the last, rows, and what it began with.

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
        spent = name.startswith(f"{directory}/{paths.CHECKPOINT}") or name.endswith(paths.ROWS)
        if spent and name != kept:
            artifacts.delete(name)
