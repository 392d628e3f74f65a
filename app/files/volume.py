"""The disk that a data directory is on: what is free of it, and whether it can be written."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from app.errors import DiskFull

_PROBE = bytes(4096)
"""A block: less might go where there is room left of another one."""


def free_bytes(folder: Path) -> int:
    """Return how many bytes are free on the disk of a folder, for users without privileges.

    Raises:
        OSError: the folder is gone.
    """
    return shutil.disk_usage(folder).free


def room(folder: Path, least: int) -> int:
    """Return how many bytes may be put onto the disk of a folder, so that `least` of them stay free.

    Raises:
        OSError: the folder is gone.
    """
    return max(0, free_bytes(folder) - least)


def check_free(folder: Path, least: int, more: int = 0) -> None:
    """Refuse to put more onto a disk on which little is left: what runs already needs it.

    Args:
        folder: on that disk.
        least: how many bytes are to be left on it.
        more: how many are about to come.

    Raises:
        DiskFull: less would be.
        OSError: the folder is gone.
    """
    free = free_bytes(folder)
    if free - more < least:
        raise DiskFull(
            f"{free} bytes are free on the disk of the server, and {least} are to be left for what is at work already; "
            "delete data sets, models or jobs that are not needed any more, or ask the operator to make room",
            kind="low",
            numbers={"free_bytes": free, "needed_bytes": least + more},
        )


def try_write(folder: Path) -> None:
    """Write a block to the disk of a folder, through to the device; nothing stays of it.

    Raises:
        OSError: it cannot be written.
    """
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        file.write(_PROBE)
        os.fsync(file.fileno())
