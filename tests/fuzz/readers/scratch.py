"""Where inputs lie as files, for readers that open some."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path


def saved(data: bytes, name: str) -> Path:
    """Write an input where the one before it was."""
    path = Path(_folder().name) / name
    path.write_bytes(data)
    return path


def folder() -> Path:
    """Return the folder of this process, which goes with it."""
    return Path(_folder().name)


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    memory = Path("/dev/shm")  # noqa: S108 - faster than a disk, where there is such a thing
    return tempfile.TemporaryDirectory(prefix="fuzz-", dir=memory if memory.is_dir() else None)
