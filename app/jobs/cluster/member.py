"""What an actor runs on its node of a Ray cluster: `python -P -m app.jobs.cluster.member JOB NUMBER HOST PORT`.

It does what `app.jobs.cluster.node` does first, and becomes a node of a training job that is not the first.
"""

from __future__ import annotations

import sys

from app.jobs.cluster.node import take_over
from app.jobs.exits import REFUSED_STATUS


def main() -> int:
    """Be that node, and return the exit status of the process."""
    if not take_over():
        return REFUSED_STATUS
    from app.jobs.nodes.member import main as member  # noqa: PLC0415

    return member(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
