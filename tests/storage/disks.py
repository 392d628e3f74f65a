"""Disks that fail when a test says so: one by a layer between the program and the real one, one that is small.

with failing_disk(tmp_path) as disk:            # works for everybody, everywhere
    with ServerProcess(disk.data, log) as url:
        disk.fill()

with small_disk(tmp_path, 64 * 2**20) as disk:  # a tmpfs, where mounting is allowed
"""

from __future__ import annotations

import mmap
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.storage.preload.sitecustomize import (
    AHEAD,
    BYTES,
    COUNTS,
    FREE,
    FULL,
    GOOD,
    LEFT,
    MODE,
    NEXT,
    READ_ONLY,
    STEPS,
)

PRELOAD = Path(__file__).parent / "preload"


class FailingDisk:
    """The data directory of processes that are started while this is entered, workers included.

    Args:
        data: the directory.
        cells: what they look at before each write.
    """

    def __init__(self, data: Path, cells: memoryview) -> None:
        self.data = data
        self._cells = cells

    def fill(self, after: int = 0) -> None:
        """Leave no room for anything new, once so many writes have gone through."""
        self._begin(FULL, after)

    def make_read_only(self, after: int = 0) -> None:
        """Refuse every write, as a file system does that has found an error."""
        self._begin(READ_ONLY, after)

    def fail_once(self, after: int = 0) -> None:
        """Refuse one write."""
        self._begin(GOOD, after)

    def _begin(self, mode: int, after: int) -> None:
        self._cells[LEFT], self._cells[NEXT] = after, mode
        self._cells[MODE] = COUNTS if after or mode == GOOD else mode

    @property
    def has_failed(self) -> bool:
        """Whether the first write has come that was refused."""
        return self._cells[MODE] != COUNTS

    def say_free(self, count: int) -> None:
        """Let the system say that so many bytes are free."""
        self._cells[FREE] = count

    def kill_before(self, step: int) -> None:
        """Kill the mortal process that makes the change of the disk with this number, counted from 1; 0 kills none."""
        self._cells[STEPS] = step

    @property
    def steps_left(self) -> int:
        """The number of the change that is fatal, counted from now; 0 when it has come."""
        return self._cells[STEPS]

    def put_clock_forward(self, seconds: int) -> None:
        """Let the clocks of the processes be ahead of the real ones, behind where it is less than none."""
        self._cells[AHEAD] = seconds

    def mend(self) -> None:
        """Let everything through again."""
        self._cells[MODE] = GOOD
        self._cells[FREE] = -1


class SmallDisk:
    """A file system of its own, which can really be filled."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self._ballast = data / ".ballast"

    def fill(self, left: int = 0) -> None:
        """Fill it up, but for so many bytes."""
        with self._ballast.open("ab") as file:
            while (free := shutil.disk_usage(self.data).free - left) > 0:
                # a server may take some of it meanwhile
                with suppress(OSError):
                    os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), free)

    def mend(self) -> None:
        """Make room again."""
        self._ballast.unlink(missing_ok=True)


@contextmanager
def failing_disk(folder: Path, *, mortal: str = "", clock: bool = False) -> Iterator[FailingDisk]:
    """Make a directory whose disk fails when told to.

    Args:
        folder: where the directory `data` will be.
        mortal: an argument on the command line of those processes that `kill_before` kills.
        clock: whether clocks can be put forward.
    """
    control, data = folder / "disk-control", folder / "data"
    control.write_bytes(bytes(BYTES))
    with control.open("r+b") as file, pytest.MonkeyPatch.context() as patch:
        disk = FailingDisk(data, memoryview(mmap.mmap(file.fileno(), BYTES)).cast("q"))
        disk.mend()
        patch.setenv("TEST_DISK_CONTROL", str(control))
        patch.setenv("TEST_DISK_ROOT", str(data))
        patch.setenv("TEST_MORTAL", mortal)
        patch.setenv("TEST_CLOCK", "1" if clock else "")
        patch.setenv("PYTHONPATH", str(PRELOAD), prepend=os.pathsep)
        yield disk


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[SmallDisk]:
    """Mount a small file system; tests that need one are skipped where that is not allowed."""
    data = folder / "small"
    data.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", data], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip(
            "file systems cannot be mounted here; the tests by a failing layer are the same but for that"
        )
    try:
        yield SmallDisk(data)
    finally:
        subprocess.run(["umount", "-l", data], check=True)
