"""Room on the disk that is kept back, so that on a full one something can still be deleted.

To delete, the database has to be written. Where there is no room even for that, this file is given up; it is made again
once there is enough.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from app.files.volume import free_bytes

NAME = "reserve"
BYTES = 4 * 1024**2
"""More than the log of the database takes when much is deleted."""
_ENOUGH = 4
"""As many times its size have to be free for it to be made."""
_CHUNK = bytes(1 << 20)


class Reserve:
    """The file of a data directory; safe to use by several processes.

    Args:
        folder: the data directory.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / NAME

    def keep(self) -> None:
        """Make it, if it is not there and there is room; a disk that cannot be written has none."""
        with suppress(OSError):
            if self._file.exists() or free_bytes(self._folder) < _ENOUGH * BYTES:
                return
            # Under its name at once: what another process is making, or has left half made, is a reserve as well.
            with self._file.open("xb") as file:
                for _ in range(0, BYTES, len(_CHUNK)):
                    file.write(_CHUNK)
                file.flush()
                os.fsync(file.fileno())

    def give_up(self) -> bool:
        """Remove it, and tell whether there is more room now."""
        try:
            self._file.unlink()
        except OSError:
            return False
        return True
