"""What Prometheus reads: the metrics of all processes, in the text that it wants."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import TYPE_CHECKING

from app.metrics.families import FAMILIES, Family
from app.metrics.metrics import Sample, read_key

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from app.metrics.metrics import Metrics

_Series = dict[tuple[str, ...], list[float]]


def expose(metrics: Metrics, samples: Iterable[Sample], accept: str) -> tuple[bytes, str]:
    """Return all metrics as text, and the media type of that.

    Args:
        metrics: of this process, which has those of the others in view.
        samples: what is the same whichever process is asked.
        accept: the header of the request, which says in which format they are wanted.
    """
    # a third of a megabyte and a tenth of a second, for servers that nobody watches
    from prometheus_client.exposition import choose_encoder  # noqa: PLC0415

    metrics.sample()
    found = _summed(metrics)
    for family, labels, value in samples:
        found[family.name][labels] = [value]
    encode, media_type = choose_encoder(accept)
    return encode(_Collected(found)), media_type


class _Collected:
    """What the library takes for a registry."""

    def __init__(self, found: dict[str, _Series]) -> None:
        self._found = found

    def collect(self) -> Iterator[Metric]:
        for family in FAMILIES.values():
            yield _metric(family, self._found.get(family.name, {}))


def _summed(metrics: Metrics) -> dict[str, _Series]:
    """Return the numbers of all processes, added up where their labels are equal."""
    found: dict[str, _Series] = defaultdict(dict)
    for reading in metrics.series.readings():
        name, labels = read_key(reading.key)
        family = FAMILIES.get(name)
        if family is not None:
            key = tuple(labels[label] for label in family.labels)
            before = found[name].get(key)
            values = list(reading.values)
            found[name][key] = (
                values if before is None else [a + b for a, b in zip(before, values, strict=True)]
            )
    return found


def _metric(family: Family, series: _Series) -> Metric:
    from prometheus_client.metrics_core import (  # noqa: PLC0415 - see `expose`
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )

    if family.kind == "histogram":
        histogram = HistogramMetricFamily(family.name, family.help, labels=family.labels)
        bounds = [*(str(bound) for bound in family.bounds), "+Inf"]
        for labels, (total, *counts) in sorted(series.items()):
            histogram.add_metric(labels, list(zip(bounds, accumulate(counts), strict=True)), total)
        return histogram
    if not family.labels and not series and family.kind == "counter":
        series = {(): [0.0]}
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(family.name, family.help, labels=family.labels)
    for labels, (value,) in sorted(series.items()):
        metric.add_metric(labels, value)
    return metric
