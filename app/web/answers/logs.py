"""What the processes of a job have printed, as callers may read it."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from app.errors import NotFound
from app.files import paths
from app.files.artifacts import Artifacts
from app.jobs.launcher import Launcher
from app.states import JobStatus
from app.store import Store
from app.store.records import JobState

_MOST_BYTES = 1 << 20
"""Of an attempt; of longer ones the end is read."""
_MOST_PARTS = 5
"""Of a job, whose logs are shown: what is wrong with one is wrong with others, too."""


def whole_log_of(job: JobState, store: Store, artifacts: Artifacts, launcher: Launcher) -> str:
    """Return what `log_of` does and, below it, the same of parts of the job that were tried again, or have failed."""
    found = log_of(job, artifacts, launcher)
    for part_id in store.job_parts.troubled(job.id, _MOST_PARTS):
        with suppress(NotFound):  # deleted meanwhile
            found += f"{part_id}:\n{log_of(store.jobs.state(part_id), artifacts, launcher)}"
    return found


def log_of(job: JobState, artifacts: Artifacts, launcher: Launcher) -> str:
    """Return what the attempts of a job have printed, one after another; of long ones the end."""
    found = []
    # A drained job's attempt is given back, and what it printed stays.
    given_back = job.attempt + 1
    last = given_back if job.status is JobStatus.QUEUED else job.attempt
    for attempt in range(1, given_back + 1):
        runs = attempt == job.attempt and job.status is not None and job.status.active
        in_file = _path(artifacts, paths.log(job.id, attempt)).exists()
        asked = runs or (attempt <= last and not in_file)
        printed = launcher.printed(job.id, attempt) if asked else b""
        found.append(end_of_log(job.id, attempt, artifacts, printed))
    return "".join(found)


def end_of_log(job_id: str, attempt: int, artifacts: Artifacts, printed: bytes = b"") -> str:
    """Return what an attempt has printed, empty if nothing, without where on the server its files are.

    Args:
        job_id: the job.
        attempt: the number of the attempt.
        artifacts: where the file of its log is.
        printed: what follows that is not in the file yet.
    """
    try:
        with _path(artifacts, paths.log(job_id, attempt)).open("rb") as file:
            in_file = _end(file)
    except FileNotFoundError:
        in_file = b""
    written = in_file + _end(BytesIO(printed))
    return _places(artifacts.root).sub(
        lambda found: "" if found[1] else ".", written.decode(errors="replace")
    )


def _end(file: BinaryIO) -> bytes:
    left_out = max(0, file.seek(0, 2) - _MOST_BYTES)
    file.seek(left_out)
    if left_out:
        file.readline()  # half a line can be half a path
    return file.read()


def _path(artifacts: Artifacts, name: str) -> Path:
    """Return where a log is: here while its attempt runs here, and with the artifacts once it has ended."""
    here = artifacts.here(name)
    return here if here.exists() else artifacts.local_path(name)


@cache
def _places(data_dir: Path) -> re.Pattern[str]:
    """Return the pattern of directories that errors and stack traces name: of the files, and of the code."""
    places = {place[1:] for place in (str(data_dir), str(data_dir.resolve()), *sys.path) if len(place) > 1}
    longest_first = "|".join(map(re.escape, sorted(places, key=len, reverse=True)))
    return re.compile(rf"/(?<![\w./-]/)(?:{longest_first})(?:(/)|(?![\w-]))")
