"""The names of the files that pictures came in: one text of all of them, and where each name ends in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

TEXT_FILE = "names.npy"
ENDS_FILE = "name_ends.npy"


class FileNames:
    """The names of the pictures of a segment; read one at a time from mapped files."""

    def __init__(self, text: NDArray[np.uint8], ends: NDArray[np.int64]) -> None:
        """Take names one after the other in UTF-8, and where each ends, in bytes.

        Raises:
            ValueError: they do not fit together.
        """
        if text.dtype != np.uint8 or ends.dtype != np.int64 or text.ndim != 1 or ends.ndim != 1:
            raise ValueError("the names of files are bytes and where they end, one dimension each")
        if len(ends) and ends[-1] != len(text):
            raise ValueError(f"the names of files end at {ends[-1]} of {len(text)} bytes")
        self._text, self._ends = text, ends

    @classmethod
    def of(cls, names: Sequence[str]) -> FileNames:
        """Take the name of each picture, empty for one that has none."""
        written = [name.encode() for name in names]
        ends = np.cumsum([len(name) for name in written], dtype=np.int64)
        return cls(np.frombuffer(b"".join(written), np.uint8), ends)

    @classmethod
    def open(cls, path: Callable[[str], Path]) -> FileNames | None:
        """Map the files of a segment; None where its pictures were not in files of their own.

        Args:
            path: returns where a file of the segment is, by its name.

        Raises:
            ValueError: they are damaged.
        """
        found = path(ENDS_FILE)
        if not found.exists():
            return None
        text, ends = (np.lib.format.open_memmap(file, mode="r") for file in (path(TEXT_FILE), found))
        return cls(text, ends)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, position: int) -> str | None:
        """Return the name of the picture at a position of the segment; None if it has none."""
        first = int(self._ends[position - 1]) if position else 0
        return bytes(self._text[first : int(self._ends[position])]).decode("utf-8", "replace") or None

    @property
    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """The arrays by the names of their files; the one that says that there are names comes last."""
        return {TEXT_FILE: self._text, ENDS_FILE: self._ends}
