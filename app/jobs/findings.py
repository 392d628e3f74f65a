"""Where the files are of what jobs have found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from app.files.artifacts import Artifacts
from app.store.records import JobRecord, JobState


def found_file(of: Callable[[str, int], str], job: JobRecord | JobState, artifacts: Artifacts) -> Path:
    """Return where the bytes are of what a job has found; of nothing where there is none.

    Args:
        of: returns the name of such a file, as an attempt of a job writes it.
        job: the job.
        artifacts: the files.
    """
    path = artifacts.local_path(of(job.id, job.attempt))
    # an earlier version has written all of them as if by the first attempt
    return path if job.attempt <= 1 or path.exists() else artifacts.local_path(of(job.id, 1))
