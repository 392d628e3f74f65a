"""The machine of a measurement: what it is called, and what processes take of it (the latter on Linux only)."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def processor() -> str:
    """Return the name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )


def own_seconds(pid: int) -> float:
    """Return how many seconds of processors a process has taken by itself."""
    return sum(_ticks(pid)[:2]) / _TICKS


def processor_seconds(pid: int) -> float:
    """Return how many seconds of processors a process has taken, with those it has waited for and those it has now."""
    return sum(sum(_ticks(member)) for member in family(pid)) / _TICKS


def family(pid: int) -> list[int]:
    """Return a process and those that it has started, directly or by others."""
    children: list[str] = []
    with suppress(FileNotFoundError, ProcessLookupError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):
                children += (thread / "children").read_text().split()
    return [pid, *(member for child in children for member in family(int(child)))]


def _ticks(pid: int) -> list[int]:
    """Return what a process has taken as user and in the system, and what those had that it has waited for."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return [0, 0, 0, 0]
    # behind the name, which may hold spaces
    return [int(field) for field in stat.rpartition(")")[2].split()[11:15]]
