"""Keeps one node of Ray: `python ray_keeper.py COMMAND`. All that it starts, however far below, ends with it.

The processes of a node are in sessions of their own and outlive one another. Those whose parents are gone become
children of this one, so that none is lost. The end of standard input is that of the node, as if the plug of a machine
were pulled: also when whoever holds the other end was killed.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

_SET_CHILD_SUBREAPER = 36
_LOOK_SECONDS = 0.1


def main() -> int:
    """Run the node until it ends or standard input does; return its status."""
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    node = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    status = None
    while status is None and not select.select([sys.stdin], [], [], _LOOK_SECONDS)[0]:
        status = _reaped().get(node.pid)
    while left := _below(os.getpid()):
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
        _reaped()
    return 0 if status is None else os.waitstatus_to_exitcode(status)


def _reaped() -> dict[int, int]:
    """Return how children ended that have ended since, by their ids."""
    found: dict[int, int] = {}
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            found[ended[0]] = ended[1]
    return found


def _below(root: int) -> list[int]:
    """Return all processes below one."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                fields = entry.joinpath("stat").read_text().rpartition(")")[2].split()
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = children.get(root, [])
    for pid in found:  # which grows meanwhile
        found += children.get(pid, ())
    return found


if __name__ == "__main__":
    sys.exit(main())
