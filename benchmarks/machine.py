"""The machine of a measurement: of which kind it is, and what processes take of it (the latter on Linux only)."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from engine.environment import blas_kernels, processor_name

_DESCRIPTION = Path("/proc/cpuinfo")
_TICKS = os.sysconf("SC_CLK_TCK")


class Kind(NamedTuple):
    """A kind of machine: figures of one say nothing about another."""

    processor: str
    """What it calls itself; two generations may have one name."""
    cores: int
    vectors: str
    """The widest vectors that it computes with, AVX-512 or AVX2; empty where that is not known."""
    blas_kernels: str
    """For which processor OpenBLAS's kernels are, see `blas_kernels`; empty where that is not known."""

    def __str__(self) -> str:
        vectors = f" with {self.vectors}" if self.vectors else ""
        kernels = (
            f"BLAS kernels for {self.blas_kernels}" if self.blas_kernels else "BLAS kernels not recorded"
        )
        return f"{self.processor}{vectors}, {self.cores} cores, {kernels}"


def kind() -> Callable[[], Kind]:
    """Return what tells the kind of this machine; the kernels of BLAS are those that the calling process has loaded."""
    return lambda: Kind(processor(), os.cpu_count() or 1, vectors(_described("flags")), blas_kernels())


def processor() -> str:
    """Return the name of the processor."""
    return processor_name()


def vectors(flags: str) -> str:
    """Return the widest vectors among a processor's flags, as Linux calls them."""
    found = set(flags.split())
    return "AVX-512" if "avx512f" in found else "AVX2" if "avx2" in found else ""


def _described(name: str) -> str:
    """Return what Linux says of the first processor; nothing elsewhere."""
    try:
        lines = _DESCRIPTION.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


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
