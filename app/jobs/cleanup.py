"""Keeps the data directory within bounds: what is over goes, what is full takes no more.

A thread measures the directory now and then; between two measurements the rows of the database say what has
come and gone. So a check costs one short query, and nobody waits while all files are counted.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from app.errors import Conflict, NotFound, StorageFull
from app.files import paths
from app.files.artifacts import LocalArtifacts
from app.files.features import shrink_features
from app.ids import MODEL, sibling
from app.jobs.ends import remove_spent_files
from app.jobs.uploads import uploads_of
from app.log import Log
from app.settings import Settings
from app.store import Store
from app.store.records import now

log = Log(__name__)

INTERVAL = 30.0
"""Seconds between two rounds."""


@dataclass(frozen=True, slots=True)
class _Measured:
    """Bytes in the directory at one moment, and what the rows said then."""

    found: int
    recorded: int


class Cleanup:
    """The quota and the retention of one data directory."""

    def __init__(self, store: Store, artifacts: LocalArtifacts, settings: Settings) -> None:
        self._store, self._artifacts = store, artifacts
        self._quota = settings.max_data_bytes
        self._keep = None if settings.retention_days is None else timedelta(days=settings.retention_days)
        self._keep_checkpoints = settings.checkpoint_retention
        self._max_features = settings.max_feature_bytes
        self._measured: _Measured | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Remove what crashes have left, measure, and start the thread."""
        self.remove_uploads()
        self.remove_leftovers()
        self._measure()
        self._thread = threading.Thread(target=self._run, name="cleanup", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Start no other round."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def check_quota(self) -> None:
        """Refuse to add to a directory that is full. Reads the database: not for the event loop.

        Raises:
            StorageFull: it is.
        """
        if self._quota is None or self._measured is None:
            return
        measured = self._measured
        used = measured.found + self._store.recorded_bytes() - measured.recorded
        if used >= self._quota:
            raise StorageFull(
                f"the data directory holds {used} bytes, and {self._quota} are allowed; delete data sets, models or "
                "jobs that are not needed any more, or ask the operator to raise CONVSERVE_MAX_DATA_BYTES",
                numbers={"used_bytes": used, "limit_bytes": self._quota},
            )

    def remove_uploads(self) -> None:
        """Remove uploads that no job will read; before the first request, as an upload has no job for a moment."""
        self._artifacts.clean(paths.UPLOADS, age=0)  # nobody but the server that is starting receives uploads
        wanted = {name for job in self._store.jobs.unfinished() for name in uploads_of(job.request)}
        for name in self._artifacts.names(paths.UPLOADS):
            if name not in wanted:
                self._artifacts.delete(name)

    def remove_leftovers(self) -> None:
        """Remove models that have a file and no record: their maker died in between, or who deleted them did."""
        existing = self._store.models.identifiers()
        # A worker that survived the last server may be about to write the record.
        coming = {sibling(pulse.id, MODEL) for pulse in self._store.jobs.active()}
        for name in self._artifacts.names(paths.MODELS):
            if name.removeprefix(f"{paths.MODELS}/").partition(".")[0] not in existing | coming:
                self._artifacts.delete(name)

    def remove_features(self) -> None:
        """Remove the features of models and data sets that are gone, and those that are more than may be kept."""
        owners = self._store.models.identifiers() | self._store.datasets.identifiers()
        shrink_features(self._artifacts, self._max_features, owners)

    def _run(self) -> None:
        spent = False
        while True:
            try:
                if not spent:
                    self._remove_spent_files()
                    spent = True
                self._expire()
                self._expire_checkpoints()
                self.remove_features()
                self._measure()
            except Exception:
                # A locked database may pass; a thread that is gone does not come back.
                log.exception("cleanup_failed")
            if self._stopping.wait(INTERVAL):
                return

    def _measure(self) -> None:
        if self._quota is not None:
            # The rows first: what comes meanwhile is counted twice rather than not at all.
            recorded = self._store.recorded_bytes()
            self._measured = _Measured(self._artifacts.bytes(), recorded)

    def _remove_spent_files(self) -> None:
        """Remove what jobs do not need that ended when no server was there, or under an earlier version."""
        for job_id, checkpoint in self._store.finished_jobs.checkpoints().items():
            if self._stopping.is_set():
                return
            remove_spent_files(job_id, checkpoint, self._artifacts)

    def _expire_checkpoints(self) -> None:
        """Delete the last checkpoints of jobs that ended long enough ago."""
        for job_id in self._store.finished_jobs.checkpoints(now() - self._keep_checkpoints):
            with suppress(NotFound):  # deleted meanwhile
                # The row first: a job never names a checkpoint that is gone.
                remove_spent_files(
                    job_id, self._store.finished_jobs.expire_checkpoint(job_id), self._artifacts
                )
                log.info("checkpoint_expired", job=job_id)

    def _expire(self) -> None:
        """Delete jobs that have been finished for long enough, with their files; models stay."""
        if self._keep is None:
            return
        for job_id in self._store.finished_jobs.expired(now() - self._keep):
            with suppress(NotFound, Conflict):  # somebody else was quicker
                self._store.jobs.delete(job_id)
                log.info("job_expired", job=job_id)
            self._artifacts.delete(paths.directory(job_id))
