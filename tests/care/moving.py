"""Moves an installation and dies on the way: `python -m tests.care.moving WHAT AFTER FROM TO`, as commands do."""

from __future__ import annotations

import os
import signal
import sys

from app.care.migrate_artifacts import migrate_artifacts
from app.care.migrate_store import migrate_store
from app.cli.migrate import files_at, rows_at


def main(what: str, after: int, source: str, target: str) -> None:
    """Be killed at the step of a number."""
    steps = 0

    def count(*_: object) -> None:
        nonlocal steps
        steps += 1
        if steps == after:
            os.kill(os.getpid(), signal.SIGKILL)

    if what == "rows":
        migrate_store(rows_at("FROM", source), rows_at("TO", target), count)
    else:
        migrate_artifacts(*files_at(source, target), count)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4])
