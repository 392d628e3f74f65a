"""Room within a data directory for what looks after it: gone with who took it, however that ended."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.files.locks import FileLock, is_locked
from app.files.paths import CARE

_LOCK = ".lock"
_YOUNG_SECONDS = 60.0
"""For so long a lock that nobody holds may be one that is about to be taken."""


@contextmanager
def scratch(data_dir: Path) -> Iterator[Path]:
    """Make an empty directory within a data directory, on the file system of its files.

    Raises:
        OSError: it cannot be written to.
    """
    folder = data_dir / CARE / secrets.token_hex(8)
    folder.parent.mkdir(exist_ok=True)
    # The lock before the directory: one without a lock that is held is nobody's.
    with FileLock(folder.with_suffix(_LOCK)) as lock:
        lock.acquire()
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            lock.path.unlink(missing_ok=True)


def abandoned(data_dir: Path) -> list[str]:
    """Return the names of what those have left who were killed."""
    found = []
    with suppress(FileNotFoundError):
        for path in sorted((data_dir / CARE).iterdir()):
            lock = path.with_suffix(_LOCK)
            with suppress(FileNotFoundError):
                young = path == lock and time.time() - path.stat().st_mtime < _YOUNG_SECONDS
                if not young and not is_locked(lock):
                    found.append(f"{CARE}/{path.name}")
    return found
