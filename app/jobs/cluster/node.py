"""What a Ray job runs on its node: `python -P -m app.jobs.cluster.node JOB ATTEMPT`.

It holds its versions against those of the server, before anything of a version that may be another is loaded, takes
the settings that the server has handed over where the node has none of its own, and becomes the worker.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Mapping

from app.jobs.cluster.versions import difference, versions
from app.jobs.exits import REFUSED, REFUSED_STATUS

HANDED_VARIABLE = "CONVSERVE_RAY_HANDED"
"""Holds what the server hands over, as JSON: its `versions`, and its `settings` as variables."""


def main() -> int:
    """Do one attempt and return the exit status of the process."""
    # one that comes before the worker is ready for it waits until it is
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    if not take_over():
        return REFUSED_STATUS
    from app.jobs.work import attempt  # noqa: PLC0415

    return attempt.main(sys.argv[1:], fenced=True)


def take_over() -> bool:
    """Take over the settings of the server, and return whether the versions are its own; else say what differs."""
    handed = json.loads(os.environ.pop(HANDED_VARIABLE))
    node = socket.gethostname()
    own = versions()
    _say(f"node {node}: " + ", ".join(f"{name} {number}" for name, number in own.items()))
    refused = difference(own, handed["versions"], node)
    if refused is not None:
        _say(f"{REFUSED}{refused}")
        return False
    os.environ.update(lacking(handed["settings"], os.environ))
    return True


def lacking(handed: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """Return what a node takes of the server's variables: none that it has, nor the file of a secret that it has."""
    return {
        name: value
        for name, value in handed.items()
        if name not in own and name.removesuffix("_FILE") not in own
    }


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
