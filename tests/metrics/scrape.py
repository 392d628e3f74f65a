"""Reads the metrics of a server, as Prometheus does."""

from __future__ import annotations

from collections.abc import Iterable

import httpx
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families


def families(http: httpx.Client) -> list[Metric]:
    answer = http.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return list(text_string_to_metric_families(answer.text))


class Scrape:
    """The values at one moment."""

    def __init__(self, found: Iterable[Metric]) -> None:
        self.samples = [sample for family in found for sample in family.samples]

    def all(self, name: str, **labels: str) -> list[float]:
        """Return the values of the series of a name that have these labels."""
        return [
            sample.value
            for sample in self.samples
            if sample.name == f"convserve_{name}" and labels.items() <= sample.labels.items()
        ]

    def sum(self, name: str, **labels: str) -> float:
        return sum(self.all(name, **labels))


def scrape(http: httpx.Client) -> Scrape:
    return Scrape(families(http))
