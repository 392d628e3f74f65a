"""Warnings and errors, counted."""

from __future__ import annotations

import logging
from collections.abc import Callable


class Counted(logging.Handler):
    """Calls a function for each warning and error, with its level and its event.

    Args:
        count: is called; in any thread.
    """

    def __init__(self, count: Callable[[str, str], None]) -> None:
        super().__init__(logging.WARNING)
        self._count = count

    def emit(self, record: logging.LogRecord) -> None:
        """Count a line. What libraries say is free text, with no end of different ones: their names stand for it."""
        ours = hasattr(record, "values")
        self._count(record.levelname.lower(), str(record.msg) if ours else record.name.partition(".")[0])
