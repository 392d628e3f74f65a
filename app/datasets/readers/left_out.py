"""What an upload holds that is not used: all of it counted, the first so many named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from app.api.datasets import Fault

MOST_NAMED = 1000
"""Files that a report names; the rest is only counted."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that was left out, and why."""

    name: str
    reason: str
    kind: Fault = "misplaced"


class LeftOut:
    """Files that were left out. A line of a table costs two bytes to send: a record of each would be gigabytes.

    Attributes:
        counts: how many, by the kind of their fault.
    """

    def __init__(self, skipped: Iterable[Skipped] = ()) -> None:
        self.counts: Counter[Fault] = Counter()
        self._named: list[Skipped] = []
        for each in skipped:
            self.add(each)

    def __len__(self) -> int:
        return self.counts.total()

    def __iter__(self) -> Iterator[Skipped]:
        """Iterate over those that are named."""
        return iter(self._named)

    def add(self, skipped: Skipped) -> None:
        """Note one more."""
        self.counts[skipped.kind] += 1
        if len(self._named) < MOST_NAMED:
            self._named.append(skipped)

    def add_all(self, others: LeftOut) -> None:
        """Note all of some others."""
        self.counts += others.counts
        self._named += others._named[: MOST_NAMED - len(self._named)]
