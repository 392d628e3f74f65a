"""What the runner asks of a launcher: to start an attempt, to find one, to stop and to kill it.

Which job runs when, how often it is tried and what its death means is the runner's business and the same
everywhere; a launcher knows where attempts run and nothing else.
"""

from __future__ import annotations

from typing import Protocol

WAITING_CORES = 0.01
"""What is kept of a core for a job that waits for its parts. It is not nothing: docs/decisions/parts-of-jobs.md."""
LEFT_CORES = 2 * WAITING_CORES
"""What every job leaves of its cores where these are counted, for those that wait: of two kinds of jobs one each."""


class NotStarted(Exception):
    """An attempt could not be started now; it may be possible later."""


class Attempt(Protocol):
    """An attempt of a job that was started, here or by an earlier server."""

    @property
    def place(self) -> str:
        """Where it runs, for the log."""

    def alive(self) -> bool:
        """Tell whether it is there, or may be."""

    def waiting(self) -> bool:
        """Tell whether it has not begun, for want of room where it will run, and so gives no sign of life."""

    def stop(self) -> None:
        """Ask it to save what it has and end; nothing happens when it is gone."""

    def kill(self) -> None:
        """End it though it does not answer; nothing happens when it is gone."""

    def starved(self) -> bool:
        """Tell, once it is gone, whether it was ended for want of memory, as far as that can be known."""


class Launcher(Protocol):
    """Where attempts run. A job has at most one attempt that is alive."""

    @property
    def elsewhere(self) -> bool:
        """Whether attempts run on other machines, and go on while this one is stopped and started again."""

    def start(self, job_id: str, attempt: int, threads: float, memory: int | None = None) -> Attempt:
        """Start an attempt of a job.

        Args:
            job_id: the job.
            attempt: the number of the attempt.
            threads: how many cores are kept for it, where they are counted; each of its nodes, where it has several. It
                may use as many, rounded up.
            memory: how many bytes it is expected to need, where that is known.

        Raises:
            NotStarted: an earlier attempt is still alive, or there is no room for another one.
        """

    def find(self, job_id: str, attempt: int) -> Attempt | None:
        """Return an attempt of a job if it is alive, whoever started it; None when it is not."""

    def has_ended(self, job_id: str, attempt: int) -> bool:
        """Tell whether an attempt that is not found has ended for certain.

        Otherwise it may go on where nobody sees it, and its number alone keeps it from writing: no other gets that.
        """

    def paused(self, job_id: str, attempt: int) -> str | None:
        """Return what kept an attempt that is gone from writing, in a word of `StorageFault`, if that was its end."""

    def refused(self, job_id: str, attempt: int) -> str | None:
        """Return why no attempt of ours can run where one was started that is gone, if that was its end."""

    def tidy(self, job_id: str, attempt: int) -> bool:
        """Keep what an attempt that is gone has printed, where `paths.log` says, and let go of all else of it.

        Return whether that is over; else another call goes on with it.

        Raises:
            OSError: it cannot be written now; another call tries it again.
        """

    def look_back(self) -> bool:
        """Tidy what other servers have left of attempts that are over; tell whether all that there is could be seen.

        Raises:
            OSError: of one at least nothing can be written now; the others are tidied.
        """

    def printed(self, job_id: str, attempt: int) -> bytes:
        """Return what an attempt has printed so far, empty where that is in its file or not known."""

    def close(self) -> None:
        """Let go of what it has open; attempts go on."""
