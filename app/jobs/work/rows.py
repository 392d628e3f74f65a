"""What a worker has found so far: rows, saved in files as they come, so that the next attempt goes on after them."""

from __future__ import annotations

import time

from app.files import paths
from app.files.artifacts import Artifacts
from app.store import Store
from app.store.records import JobRecord, Json
from engine.spec import NonNegativeInt, Spec


class Position(Spec):
    """How far the rows on the disk go: the checkpoint of such a job."""

    parts: NonNegativeInt = 0
    """Files that hold rows."""
    images: NonNegativeInt = 0
    """Rows in them."""
    failed: NonNegativeInt = 0
    """Rows that say why there is no prediction."""
    attempts: tuple[NonNegativeInt, ...] = ()
    """Those that have written the files; of the first ones none where an earlier version has."""

    def names(self, job_id: str) -> list[str]:
        """Return the names of the files."""
        writers = (1,) * (self.parts - len(self.attempts)) + self.attempts
        return [paths.rows(job_id, part, attempt) for part, attempt in enumerate(writers, 1)]

    def with_part(self, attempt: int) -> Position:
        """Return the same with another file, that an attempt writes."""
        return self.model_copy(update={"parts": self.parts + 1, "attempts": (*self.attempts, attempt)})

    def progress(self, total: int) -> Json:
        """Return what the job shows."""
        return {"images": self.images, "failed": self.failed, "of": total, "fraction": self.images / total}


class Rows:
    """The rows: in files of the job as far as they are saved, the rest in memory."""

    def __init__(self, job: JobRecord, store: Store, artifacts: Artifacts) -> None:
        self._job = job
        self._store = store
        self._artifacts = artifacts
        self.position = Position.model_validate(job.checkpoint or {})
        self._begin()

    def _begin(self) -> None:
        self._since = time.monotonic()
        self.waiting = 0
        """Rows that are not saved."""
        self._failed = 0

    def _content(self) -> bytes:
        """Return the rows that are not saved, as their file has them."""
        raise NotImplementedError

    @property
    def age(self) -> float:
        """Seconds since the last save."""
        return time.monotonic() - self._since

    @property
    def reached(self) -> Position:
        """How far all rows go, with those that are not saved."""
        at = self.position
        return at.model_copy(update={"images": at.images + self.waiting, "failed": at.failed + self._failed})

    def save(self) -> None:
        """Put the rows on the disk, so that a later attempt goes on after them.

        Raises:
            StaleAttempt: the attempt is over.
        """
        if not self.waiting:
            return
        after = self.reached.with_part(self._job.attempt)
        self._artifacts.write(after.names(self._job.id)[-1], self._content())
        self._store.jobs.record_checkpoint(self._job.id, self._job.attempt, after.model_dump(mode="json"))
        self.position = after
        self._begin()
