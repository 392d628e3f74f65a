"""Log lines are written by a thread of their own, so that no request waits for them."""

from __future__ import annotations

import logging
import select
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import TextIO

GATHER_SECONDS = 0.05
"""How long lines gather before they are written: waking a thread for each would cost more than the line."""

MOST_WAITING = 10_000
"""Who writes more than that at once waits, as when nobody reads what is written."""


class Lines(logging.Handler):
    """Writes what is in the ordinary course of things soon, and warnings and errors at once, all in order.

    What waits is written when the process ends, too; killing it loses the lines of `GATHER_SECONDS`.

    Args:
        stream: where to write to.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._waiting: deque[logging.LogRecord] = deque()
        self._some = threading.Event()
        self._writing = threading.Lock()
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def handle(self, record: logging.LogRecord) -> bool:
        """Take a record; without the lock of the base class, which is held while lines are written."""
        kept = bool(self.filter(record))
        if kept:
            self.emit(record)
        return kept

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record until it is written."""
        self._waiting.append(record)
        if record.levelno >= logging.WARNING or len(self._waiting) > MOST_WAITING:
            self.flush()
        elif not self._some.is_set():
            self._some.set()

    def flush(self) -> None:
        """Write what waits. Where a line cannot be made, one says so; of a broken stream nobody hears."""
        with self._writing:
            lines = []
            while self._waiting:
                record = self._waiting.popleft()
                try:
                    line = self.format(record)
                except Exception:
                    line = self.format(
                        logging.LogRecord(record.name, logging.ERROR, "", 0, "line_not_written", (), None)
                    )
                lines.append(line + "\n")
            for some in _gathered(lines):
                with suppress(Exception):
                    self._stream.write(some)
                    self._stream.flush()

    def _run(self) -> None:
        while True:
            self._some.wait()
            time.sleep(GATHER_SECONDS)
            self._some.clear()
            self.flush()


def _gathered(lines: list[str]) -> Iterator[str]:
    """Yield lines, as many together as reach a pipe in one piece: other processes may write to it at the same time."""
    gathered: list[str] = []
    size = 0
    for line in lines:
        length = len(line.encode(errors="replace"))
        if gathered and size + length > select.PIPE_BUF:
            yield "".join(gathered)
            gathered, size = [], 0
        gathered.append(line)
        size += length
    if gathered:
        yield "".join(gathered)
