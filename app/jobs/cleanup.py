"""Keeps the data directory within bounds: a thread removes what is over, and measures what there is."""

from __future__ import annotations

import itertools
import threading
from contextlib import suppress
from datetime import timedelta

from app.errors import Conflict, LeaseLost, NotFound
from app.files import paths
from app.files.artifacts import Artifacts
from app.files.features import feature_bytes, shrink_features
from app.files.reserve import Reserve
from app.files.volume import free_bytes
from app.jobs.deletion import delete_job
from app.jobs.ends import remove_spent_files
from app.jobs.leftovers import HALF_WRITTEN, SAFE, remove_leftovers, remove_uploads
from app.jobs.quota import measure
from app.log import Log
from app.metrics.faults import report
from app.metrics.metrics import Metrics
from app.settings import Settings
from app.store import Store
from app.store.records import now

log = Log(__name__)

INTERVAL = 30.0
"""Seconds between two rounds."""


_ROUNDS_OF_AN_HOUR = 120


class Cleanup:
    """The retention of one data directory."""

    def __init__(
        self, store: Store, artifacts: Artifacts, settings: Settings, metrics: Metrics | None = None
    ) -> None:
        self._store, self._artifacts = store, artifacts
        self._metrics = metrics or Metrics.alone()
        self._settings = settings
        self._keep = None if settings.retention_days is None else timedelta(days=settings.retention_days)
        self._keep_checkpoints = settings.checkpoint_retention
        self._reserve = Reserve(settings.data_dir)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="cleanup", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Start no other round."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def remove_features(self) -> None:
        """Remove the features of models and data sets that are gone, and those that are more than may be kept.

        They can be computed again: where the data directory or its disk is full they make room for the rest.
        """
        self._artifacts.clean(paths.FEATURES, age=HALF_WRITTEN)
        limit = self._settings.max_feature_bytes
        if (quota := self._settings.max_data_bytes) is not None:
            others = self._artifacts.bytes() - feature_bytes(self._artifacts)
            limit = min(limit, quota - others - 1)
        missing = self._settings.min_free_bytes - free_bytes(self._settings.data_dir)
        if missing > 0:
            limit = min(limit, feature_bytes(self._artifacts) - missing)
        # only now: to count files may take minutes, and those of what came meanwhile are wanted
        owners = self._store.models.identifiers() | self._store.datasets.identifiers()
        shrink_features(self._artifacts, limit, owners)

    def _run(self) -> None:
        spent = False
        for number in itertools.count(1):
            try:
                if not spent:
                    self._remove_spent_files()
                    spent = True
                self._expire()
                self._expire_checkpoints()
                self._remove_spent_rows()
                self.remove_features()
                remove_uploads(self._store, self._artifacts, SAFE)
                if number % _ROUNDS_OF_AN_HOUR == 0:
                    remove_leftovers(self._store, self._artifacts, SAFE)
                self._reserve.keep()
                measure(self._store, self._artifacts, self._settings)
            except LeaseLost:
                return
            except Exception as error:
                # A locked database may pass; a thread that is gone does not come back.
                report(self._metrics, log, "cleanup_failed", error)
            if self._stopping.wait(INTERVAL):
                return

    def _remove_spent_files(self) -> None:
        """Remove what jobs do not need that ended when no server was there, or under an earlier version."""
        for job_id, checkpoint in self._store.finished_jobs.checkpoints().items():
            if self._stopping.is_set():
                return
            remove_spent_files(job_id, checkpoint, self._artifacts)

    def _remove_spent_rows(self) -> None:
        """Remove what parts of jobs have found, once their jobs have ended: joined, or not wanted any more.

        A part that has not seen yet that it is cancelled may still write, and its worker may die of something else.
        """
        for part_id in self._store.job_parts.spent():
            if self._stopping.is_set():
                return
            remove_spent_files(part_id, None, self._artifacts)
            self._store.job_parts.forget(part_id)

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
                delete_job(job_id, self._store, self._artifacts)
                log.info("job_expired", job=job_id)
