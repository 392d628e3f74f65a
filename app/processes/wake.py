"""A pipe that wakes a thread which waits for something to do, from any of the processes that have it."""

from __future__ import annotations

import os
import select
from contextlib import suppress


class Wake:
    """Wakes whoever waits, in this process or in another one; nothing is said but that there is something to do.

    Args:
        reader: the end of a pipe that is waited at.
        writer: its other end.
    """

    def __init__(self, reader: int, writer: int) -> None:
        self.reader = reader
        self.writer = writer
        for descriptor in (reader, writer):
            os.set_blocking(descriptor, False)
            # whoever is started gets it handed, or does not have it
            os.set_inheritable(descriptor, False)

    @classmethod
    def make(cls) -> Wake:
        """Make a pipe."""
        return cls(*os.pipe())

    def set(self) -> None:
        """Wake who waits, or who will wait next."""
        # in a pipe that is full are more calls than anybody needs
        with suppress(BlockingIOError):
            os.write(self.writer, b"\0")

    def wait(self, seconds: float) -> None:
        """Wait until somebody calls, at most for so long; all calls until then are answered by that."""
        waiting = select.poll()
        waiting.register(self.reader, select.POLLIN)
        if waiting.poll(seconds * 1000):
            with suppress(BlockingIOError):  # another process has been quicker
                os.read(self.reader, 1 << 16)

    def close(self) -> None:
        """Close our ends of it."""
        os.close(self.reader)
        os.close(self.writer)
