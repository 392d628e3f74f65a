"""What the system says about memory: how much there is, and whether it has killed for want of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

OWN_GROUPS = Path("/proc/self/cgroup")
"""Names the control groups of this process (cgroups(7)); only Linux has it."""
GROUPS = Path("/sys/fs/cgroup")

_MMAP_THRESHOLD = -3
"""The option of mallopt(3), in malloc.h."""
_LARGE_BYTES = 4 << 20


def available_memory(own: Path = OWN_GROUPS, root: Path = GROUPS) -> int:
    """Return how many bytes of memory there are: those of the machine, or fewer if a control group says so."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = []
    for group in _groups(own, root):
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = _read(group / name).strip()
            if text.isdecimal():
                limits.append(int(text))
    return min(machine, *limits) if limits else machine


def return_large_blocks() -> None:
    """Let blocks of memory of some megabytes go back to the system as soon as they are free, in this process.

    glibc does so at first, and keeps blocks of up to 32 MiB for the thread that freed one once it has seen some: each
    thread that has ever decoded a large picture would hold as much as that took.
    """
    # a part of a server's start, and of nothing else that asks for memory
    import ctypes  # noqa: PLC0415

    with suppress(AttributeError, OSError, TypeError):  # other libraries have no such option
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)


def return_freed() -> None:
    """Let all that is free in this process go back to the system: arrays below those blocks stay with their thread."""
    import ctypes  # noqa: PLC0415 - as above

    with suppress(AttributeError, OSError, TypeError):  # as above
        ctypes.CDLL(None).malloc_trim(0)


def kill_counter(own: Path = OWN_GROUPS, root: Path = GROUPS) -> Path | None:
    """Return the file in which the system counts what it kills in the control group of this process.

    That is `memory.events` of version 2, `memory.oom_control` of version 1; None where there is neither.
    """
    for group in _groups(own, root):
        for name in ("memory.events", "memory.oom_control"):
            if "oom_kill " in _read(group / name):
                return group / name
    return None


def count_kills(counter: Path | None) -> int:
    """Return how many processes were killed for want of memory, as a file with a line `oom_kill N` says."""
    if counter is None:
        return 0
    for line in _read(counter).splitlines():
        name, _, number = line.partition(" ")
        if name == "oom_kill" and number.isdecimal():
            return int(number)
    return 0


def _groups(own: Path, root: Path) -> Iterator[Path]:
    """Yield the directories of the groups that bound the memory of this process, the innermost first."""
    for line in _read(own).splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if "memory" in controllers.split(","):
            top = root / "memory"
        elif number == "0" and not controllers:
            top = root
        else:
            continue
        # In a container the path can be that of the host, which is not there: then the top is our own group.
        group = top / path.lstrip("/")
        while group != top:
            yield group
            group = group.parent
        yield top


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""
