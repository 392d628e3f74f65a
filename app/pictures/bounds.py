"""What computing for a request may take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

from app.files.budget import MemoryBudget


def _always() -> None:
    """Let work go on that is done for nobody in particular."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What computing for a request may take.

    Attributes:
        pixels: the most that are decoded, compared with what its header says first.
        memory: shared with all that is computed meanwhile; a worker decodes one picture at a time, and has none.
        go_on: to be called between steps; raises what ends them where nobody waits for the result.
    """

    pixels: int
    memory: MemoryBudget | None = None
    go_on: Callable[[], None] = _always

    @contextmanager
    def reserve(self, size: int) -> Iterator[None]:
        """Hold so many bytes of memory while entered."""
        with nullcontext() if self.memory is None else self.memory.reserve(size):
            # who has waited for room may be waited for by nobody any more
            self.go_on()
            yield
