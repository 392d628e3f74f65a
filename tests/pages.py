"""Pages of the documentation that commands write parts of."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path


def rewrite(page: Path, change: Callable[[str], str]) -> None:
    """Write a page anew, from what it says now; commands that end at the same time do so one after another.

    Args:
        page: the file; it may be missing.
        change: from the text that it has, empty if it is missing, to the one that it is to have.
    """
    folder = os.open(page.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        text = change(page.read_text("utf-8") if page.exists() else "")
        new = page.with_name(f".{page.name}.new")
        new.write_text(text, "utf-8")
        new.replace(page)
    finally:
        os.close(folder)
