"""A worker: `python -P -m app.jobs.work.worker JOB ATTEMPT`, the process that does one attempt of one job.

What it prints is the log of the attempt. It ends with status 0 when the store knows how the attempt ended, with one of
`app.jobs.exits` when it goes on once files can be written; anything else is a death, which the runner finds and answers
with the next attempt.
"""

from __future__ import annotations

import gc
import sys


def main() -> int:
    """Do the attempt that the arguments name, and return the exit status of the process."""
    # What is imported stays: to look for garbage in it, then and at the end, takes a fourth of a short job.
    gc.disable()
    from app.jobs.work.attempt import main as attempt  # noqa: PLC0415 - only now

    return attempt()


if __name__ == "__main__":
    sys.exit(main())
