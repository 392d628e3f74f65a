"""Memory that processes share: a file without a name, which each of them maps."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

_PIECE = 1 << 20


def anonymous_file(folder: Path, size: int) -> int:
    """Return the descriptor of a file of zeros that is gone with the last process that has it open.

    On Linux it is memory alone. Elsewhere it lies in a folder, and is written whole: who writes to a mapped file that
    has holes is killed where the disk has become full.
    """
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("convserve")
        os.truncate(descriptor, size)
        return descriptor
    with tempfile.TemporaryFile(dir=folder) as file:
        for written in range(0, size, _PIECE):
            file.write(bytes(min(_PIECE, size - written)))
        file.flush()
        return os.dup(file.fileno())
