"""The states of a job, what each means, and every way to get from one to another."""

from __future__ import annotations

from enum import StrEnum

ATTEMPTS = 3
"""How often a job is started before its deaths are taken to be its own fault."""


class JobStatus(StrEnum):
    """Where a job is; the docstring under each says what that means and where it can go."""

    QUEUED = "queued"
    """Waits for a worker, or before that for its data set. Goes to running when a worker is free, to cancelled at once
    when asked; to failed when it turns out that no worker could do it: its record cannot be read, is of a kind that
    there is not, or does not fit the data set that it has waited for."""
    RUNNING = "running"
    """A worker has it, or had it and its death is not noticed yet. Goes to any state but back to itself."""
    CANCELLING = "cancelling"
    """A client wants it stopped and the worker has not noticed yet. Goes to cancelled; to succeeded when
    the work was done before the worker looked. Never to failed: nobody waits for it any more."""
    SUCCEEDED = "succeeded"
    """Done; what it made exists. Final."""
    FAILED = "failed"
    """Cannot be done; `error` says why. Final."""
    CANCELLED = "cancelled"
    """Stopped because a client asked. Final."""

    @property
    def active(self) -> bool:
        """Whether a worker may be writing for it."""
        return self in ACTIVE

    @property
    def finished(self) -> bool:
        """Whether it is over for good."""
        return not TRANSITIONS[self]


TRANSITIONS: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.QUEUED: frozenset({JobStatus.RUNNING, JobStatus.FAILED, JobStatus.CANCELLED}),
    JobStatus.RUNNING: frozenset(
        {
            JobStatus.QUEUED,  # drained, or its worker died
            JobStatus.CANCELLING,
            JobStatus.SUCCEEDED,
            JobStatus.FAILED,
        }
    ),
    JobStatus.CANCELLING: frozenset({JobStatus.CANCELLED, JobStatus.SUCCEEDED}),
    JobStatus.SUCCEEDED: frozenset(),
    JobStatus.FAILED: frozenset(),
    JobStatus.CANCELLED: frozenset(),
}

ACTIVE = frozenset({JobStatus.RUNNING, JobStatus.CANCELLING})
UNFINISHED = frozenset(status for status, targets in TRANSITIONS.items() if targets)
FINISHED = frozenset(status for status, targets in TRANSITIONS.items() if not targets)


def can_move(source: JobStatus, target: JobStatus) -> bool:
    """Tell whether a job in one state may go to the other."""
    return target in TRANSITIONS[source]


def death(*, out_of_memory: bool) -> dict[str, str]:
    """Return the `{"code", "message"}` of a job whose worker has died too often.

    Args:
        out_of_memory: whether the system killed the last one for want of memory.
    """
    if out_of_memory:
        message = (
            f"the system killed its process for want of memory, the last of {ATTEMPTS}; use a smaller batch"
        )
        return {"code": "out_of_memory", "message": message}
    message = f"its process died {ATTEMPTS} times; the log says how far it came"
    return {"code": "worker_lost", "message": message}
