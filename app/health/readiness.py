"""Whether this process can do its work, found out by doing some: a block written to the disk, a row to the database."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.errors import DomainError, FieldError
from app.files import volume
from app.files.artifacts import Artifacts
from app.jobs.duties import Duties
from app.log import Log
from app.metrics.faults import count_fault
from app.metrics.metrics import Metrics
from app.settings import Settings
from app.store import Store

log = Log(__name__)

FRESH_SECONDS = 1.0
"""How long what was found holds: whoever asks meanwhile is told the same."""
_STUCK_SECONDS = 10.0
"""After so long a look that has not come back is itself what is wrong."""
_SILENT_SECONDS = 60.0
"""After so long without a look at the queue the part that runs jobs is taken to hang; a look may wait for others that
write, which is 30 seconds at most."""

_HINTS = {
    "disk": "see that the disk of the data directory is mounted, writable and not full; nothing stored is lost",
    "object store": "see that it runs, can be reached from here and takes the key; nothing stored is lost",
    "runner": "look at the log, then start the server again; no job is lost",
}


@dataclass(frozen=True, slots=True)
class Found:
    """What is wrong, each with the part that it is wrong with, and what will be before long."""

    faults: tuple[FieldError, ...] = ()
    warnings: tuple[str, ...] = ()


_STOPPING = Found((FieldError(parameter="server", detail="the server is about to stop"),))


class Readiness:
    """Looks at most once a second, in the thread of whoever asks; what one finds is told to all.

    Args:
        store: whose database is written.
        artifacts: where the files are.
        duties: what runs the jobs, here or in another process.
        settings: where the data directory is, and how much is to be free.
        metrics: where faults of storage are counted.
        stopping: tells whether this process is about to stop: then nothing is looked at any more, and that it runs
            no jobs is no fault.
        fresh: how long what was found holds, in seconds.
    """

    def __init__(
        self,
        store: Store,
        artifacts: Artifacts,
        duties: Duties,
        settings: Settings,
        metrics: Metrics,
        stopping: Callable[[], bool],
        fresh: float = FRESH_SECONDS,
    ) -> None:
        self._store, self._artifacts, self._duties = store, artifacts, duties
        self._settings, self._fresh = settings, fresh
        self._metrics, self._stopping = metrics, stopping
        self._lock = threading.Lock()
        self._found = Found()
        self._at = float("-inf")
        self._looking_since: float | None = None

    def check(self) -> Found:
        """Return what is wrong, now or a moment ago. It writes, and may wait for the disk: not for the event loop."""
        if self._stopping():
            return _STOPPING
        now = time.monotonic()
        with self._lock:
            if self._looking_since is not None:
                waited = now - self._looking_since
                return self._found if waited < _STUCK_SECONDS else _stuck(waited)
            if now - self._at < self._fresh:
                return self._found
            self._looking_since = now
        found = self._found
        try:
            found = self._look()
        finally:
            with self._lock:
                before, self._found = self._found, found
                self._at, self._looking_since = time.monotonic(), None
        if self._stopping():  # since the look began
            return _STOPPING
        _log_change(before, found)
        return found

    def _look(self) -> Found:
        folder = self._settings.data_dir
        checks = {
            "disk": lambda: volume.try_write(folder),
            "object store": self._artifacts.probe,
            "database": self._check_database,
            "runner": self._check_runner,
        }
        hints = _HINTS | {"database": self._store.hint}
        faults = [
            FieldError(parameter=part, detail=detail, hint=hints[part])
            for part, check in checks.items()
            if (detail := self._fault(part, check)) is not None
        ]
        return Found(tuple(faults), tuple(_warnings(folder, self._settings.min_free_bytes)))

    def _check_database(self) -> None:
        self._store.probe()
        self._store.jobs.active()

    def _check_runner(self) -> None:
        silent = self._duties.silent()
        if silent is None:
            raise DomainError("no process runs jobs")
        if silent >= _SILENT_SECONDS:
            raise DomainError(
                f"the part that runs jobs has not come back from its last look for {silent:.0f} s"
            )

    def _fault(self, part: str, check: Callable[[], None]) -> str | None:
        """Return what keeps a check from passing, in a few words that name no path."""
        try:
            check()
        except Exception as error:
            # Whatever it is, the answer is the same: it does not work.
            fault = count_fault(self._metrics, error) or error
            if isinstance(fault, DomainError):
                return fault.detail.partition(". ")[0]
            return f"the {part} cannot be used: {type(error).__name__}"
        return None


def _warnings(folder: Path, least: int) -> list[str]:
    try:
        volume.check_free(folder, least)
    except DomainError as error:
        return [f"uploads and new jobs are refused: {error.detail}"]
    except OSError:  # which is a fault of the disk
        return []
    return []


def _stuck(seconds: float) -> Found:
    detail = f"the disk or the database has not answered for {seconds:.0f} s"
    return Found((FieldError(parameter="disk", detail=detail, hint=_HINTS["disk"]),))


def _log_change(before: Found, found: Found) -> None:
    if found.faults != before.faults:
        if found.faults:
            log.warning("not_ready", faults={fault.parameter: fault.detail for fault in found.faults})
        else:
            log.info("ready_again")
    if bool(found.warnings) != bool(before.warnings):
        (log.warning if found.warnings else log.info)("disk_space", warnings=list(found.warnings))
