"""The processes of this machine: as /proc has them, or by `ps` where there is none, as on macOS."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")


class Running(NamedTuple):
    """A process, who started it, and its command line."""

    pid: int
    parent: int
    command: str


def running() -> list[Running]:
    """Return the processes that run; what has ended and was not waited for is none of them."""
    if not (_PROC / "self/stat").exists():
        return _listed()
    found = []
    for place in _PROC.glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            # behind the name, which may hold spaces
            state, parent = (place / "stat").read_text().rpartition(")")[2].split()[:2]
            if state not in "ZX":
                command = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found.append(Running(int(place.name), int(parent), command.strip()))
    return found


def is_running(pid: int) -> bool:
    """Tell whether a process runs."""
    return any(process.pid == pid for process in running())


def _listed() -> list[Running]:
    command = ["ps", "-A", "-ww", "-o", "pid=,ppid=,stat=,args="]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = (line.split(None, 3) for line in listed.stdout.splitlines())
    return [
        Running(int(pid), int(parent), "".join(words))
        for pid, parent, state, *words in rows
        if "Z" not in state
    ]
