"""What SQLite's connections have in common of a file's journal, as far as this process has it in memory already.

Each connection maps the index of the journal, `-shm`, whose head is written anew by every commit of anybody
(https://sqlite.org/walformat.html, section 2). To open that file here would not do: who closes a file loses all locks
that SQLite has on it in this process.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Protocol

_MAPS = Path("/proc/self/maps")
"""What this process has mapped (proc_pid_maps(5)); only Linux has it."""
_HEAD_BYTES = 96
"""Two copies of 48 bytes, written one after the other."""


class Head(Protocol):
    """The head of the index."""

    @property
    def raw(self) -> bytes:
        """The bytes as they are now."""


def head_of(file: Path) -> Head | None:
    """Return the head of the index of an SQLite file; None where it is not found.

    To be looked at as long as a connection of this process is open that has read from the file, and not after that.
    """
    # with the first look, not with the server
    import ctypes  # noqa: PLC0415

    index = f"{file.resolve()}-shm"
    with suppress(OSError, ValueError):
        inode = Path(index).stat().st_ino
        for line in _MAPS.read_text().splitlines():
            span, _, offset, _, mapped, *path = line.split(maxsplit=5)
            if path == [index] and int(mapped) == inode and int(offset, 16) == 0:
                return (ctypes.c_char * _HEAD_BYTES).from_address(int(span.partition("-")[0], 16))
    return None
