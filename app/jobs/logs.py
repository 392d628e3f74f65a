"""Puts what attempts have printed where every server finds it, once they have ended."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from app.files import paths
from app.files.artifacts import Artifacts
from app.files.locks import is_locked, lock_open
from app.jobs.aside import Aside


class Logs:
    """The logs of attempts that have ended on this machine and are not with the artifacts yet.

    Where the artifacts are in the data directory they lie there already, and there is nothing to do.
    """

    def __init__(self, artifacts: Artifacts, aside: Aside) -> None:
        self._artifacts = artifacts
        self._aside = aside
        self._waiting: set[tuple[str, int]] = set()
        self._looked = not artifacts.shared

    def ended(self, job_id: str, attempt: int) -> None:
        """Note that an attempt writes nothing more."""
        if self._artifacts.shared:
            self._waiting.add((job_id, attempt))

    def keep(self, busy: Collection[str]) -> None:
        """Take in all of them but those of jobs that have an attempt again; what cannot be written now waits."""
        if not self._looked:
            self._looked = self._aside.done("logs_not_found", "", self._find)
        for job_id, attempt in sorted(self._waiting):
            if job_id not in busy:
                self._aside.done("log_not_taken_in", job_id, partial(self._take_in, job_id, attempt))

    def _take_in(self, job_id: str, attempt: int) -> None:
        """Take in a log unless somebody is at work on the job here, or begins to."""
        name = paths.log(job_id, attempt)
        if self._artifacts.here(name).exists():
            with self._artifacts.here(paths.lock(job_id)).open(
                "ab"
            ) as file:  # what a worker has left in it stays
                if not lock_open(file.fileno()):
                    return
                self._artifacts.take_in(name)
        self._waiting.discard((job_id, attempt))

    def _find(self) -> None:
        """Look for what was printed by attempts that ended when no server was there."""
        for path in self._artifacts.here(paths.DIRECTORY).glob("*/attempt-*.log"):
            job_id, attempt = path.parent.name, path.stem.removeprefix("attempt-")
            if attempt.isdecimal() and not is_locked(self._artifacts.here(paths.lock(job_id))):
                self._waiting.add((job_id, int(attempt)))
