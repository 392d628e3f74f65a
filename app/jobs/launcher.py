"""What the runner asks of a launcher: to start an attempt, to find one, to stop and to kill it.

Which job runs when, how often it is tried and what its death means is the runner's business and the same
everywhere; a launcher knows where attempts run and nothing else.
"""

from __future__ import annotations

from typing import Protocol


class NotStarted(Exception):
    """An attempt could not be started now; it may be possible later."""


class Attempt(Protocol):
    """An attempt of a job that was started, here or by an earlier server."""

    @property
    def place(self) -> str:
        """Where it runs, for the log."""

    def alive(self) -> bool:
        """Tell whether it is there."""

    def stop(self) -> None:
        """Ask it to save what it has and end; nothing happens when it is gone."""

    def kill(self) -> None:
        """End it at once; nothing happens when it is gone."""

    def starved(self) -> bool:
        """Tell, once it is gone, whether it was ended for want of memory, as far as that can be known."""


class Launcher(Protocol):
    """Where attempts run. A job has at most one attempt that is alive."""

    def start(self, job_id: str, attempt: int, threads: int) -> Attempt:
        """Start an attempt of a job.

        Args:
            job_id: the job.
            attempt: the number of the attempt.
            threads: how many cores it may use.

        Raises:
            NotStarted: an earlier attempt is still alive, or there is no room for another one.
        """

    def find(self, job_id: str) -> Attempt | None:
        """Return the attempt of a job that is alive, whoever started it; None when there is none."""
