"""Counting: what a part of the server calls when something has happened."""

from __future__ import annotations

import json
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable

from app.metrics.families import Family
from app.processes.series import Series, Values

MOST_MODELS = 100
"""Of how many models, by name, there are series; those that come later share one."""
OTHER = "other"
"""The label of what is not told apart."""
_REMEMBERED = 10_000

Sample = tuple[Family, tuple[str, ...], float]
"""A value that is looked at, and not counted: family, labels, value."""


class Counter:
    """One series that only grows."""

    __slots__ = ("_lock", "_values")

    def __init__(self, values: Values, lock: threading.Lock) -> None:
        self._values, self._lock = values, lock

    def add(self, amount: float = 1.0) -> None:
        """Count."""
        with self._lock:
            self._values[0] += amount


class Histogram:
    """One series of observations: their sum, and how many there are in each bucket."""

    __slots__ = ("_bounds", "_lock", "_values")

    def __init__(self, values: Values, bounds: tuple[float, ...], lock: threading.Lock) -> None:
        self._values, self._bounds, self._lock = values, bounds, lock

    def observe(self, value: float) -> None:
        """Count an observation."""
        values = self._values
        bucket = 1 + bisect_left(self._bounds, value)
        with self._lock:
            values[0] += value
            values[bucket] += 1.0


class Metrics:
    """The metrics of a serving process. Safe to use from several threads.

    Args:
        series: where it counts.
    """

    def __init__(self, series: Series) -> None:
        self.series = series
        self._lock = threading.Lock()
        self._counters: dict[tuple[str, tuple[str, ...]], Counter] = {}
        self._histograms: dict[tuple[str, tuple[str, ...]], Histogram] = {}
        self._models: dict[str, str] = {}
        self._sources: list[Callable[[], Iterable[Sample]]] = []

    @classmethod
    def alone(cls) -> Metrics:
        """Return those of a process that shares them with no other."""
        return cls(Series.alone())

    def counter(self, family: Family, *labels: str) -> Counter:
        """Return a series that grows."""
        found = self._counters.get((family.name, labels))
        if found is None:
            values = self.series.find(_key(family, labels), 1)
            found = self._counters[family.name, labels] = Counter(values, self._lock)
        return found

    def histogram(self, family: Family, *labels: str) -> Histogram:
        """Return a series of observations."""
        found = self._histograms.get((family.name, labels))
        if found is None:
            values = self.series.find(_key(family, labels), len(family.bounds) + 2)
            found = self._histograms[family.name, labels] = Histogram(values, family.bounds, self._lock)
        return found

    def set(self, family: Family, *labels: str, value: float) -> None:
        """Say what the value of a series is now; it is forgotten when this process ends."""
        self.series.find(_key(family, labels), 1, passing=True)[0] = value

    def watch(self, source: Callable[[], Iterable[Sample]]) -> None:
        """Let values of this process be looked at whenever somebody wants to know them."""
        self._sources.append(source)

    def sample(self) -> None:
        """Look at the values that are watched, so that another process can read them."""
        for source in self._sources:
            for family, labels, value in source():
                self.set(family, *labels, value=value)

    def model(self, name: str) -> str:
        """Return the label of a model: its name, or for most of very many `other`, in all processes alike."""
        label = self._models.get(name)
        if label is None:
            if len(self._models) >= _REMEMBERED:
                self._models.clear()
            label = self._models[name] = self._new_model(name)
        return label

    def _new_model(self, name: str) -> str:
        with_names = {
            labels["model"]
            for reading in self.series.readings()
            if "model" in (labels := read_key(reading.key)[1])
        }
        return name if name in with_names or len(with_names - {OTHER}) < MOST_MODELS else OTHER


def _key(family: Family, labels: tuple[str, ...]) -> str:
    if len(labels) != len(family.labels):
        raise ValueError(f"{family.name} has the labels {family.labels}, and was given {labels}")
    return json.dumps([family.name, dict(zip(family.labels, labels, strict=True))])


def read_key(key: str) -> tuple[str, dict[str, str]]:
    """Return the name of the family and the labels of a series."""
    name, labels = json.loads(key)
    return name, labels
