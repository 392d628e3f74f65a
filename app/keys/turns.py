"""How many requests are answered at once for each key."""

from __future__ import annotations

from collections import Counter

TURN = "convserve.turn"
"""Where in the scope of a request its turn is, where turns are bounded; see `leave`."""


class Turn:
    """A place among the requests of a key that are being answered."""

    def __init__(self, taken: Counter[str], name: str) -> None:
        self._taken, self._name = taken, name
        self._left = False

    def leave(self) -> None:
        """Let another request have the place; once is enough, and more does no harm."""
        if not self._left:
            self._left = True
            self._taken[self._name] -= 1
            if not self._taken[self._name]:
                del self._taken[self._name]


class Turns:
    """Bounds the requests of each key that are answered at once. For the thread of the event loop.

    Args:
        most: of one key, on all processes that serve.
        processes: how many there are.
    """

    def __init__(self, most: int, processes: int = 1) -> None:
        self._all = most
        self.divide(processes)
        self._taken: Counter[str] = Counter()

    def divide(self, processes: int) -> None:
        """Take an even part of what is for so many processes, and at least one turn; any thread may say so."""
        self.most = max(1, self._all // processes)

    def take(self, name: str) -> Turn | None:
        """Take a turn for the key of a name; None where it has as many as there may be."""
        if self._taken[name] >= self.most:
            return None
        self._taken[name] += 1
        return Turn(self._taken, name)
