"""Keeps what was measured, by kinds of machines: one JSON of all results, and the page of tables made from it.

A run replaces the cases that it has measured, of the kind of machine that it ran on; figures of other kinds stay.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any

from benchmarks.machine import Kind
from benchmarks.page_sections import DOCS, put

RESULTS = DOCS / "performance.json"
PAGE = "performance-figures.md"

Found = dict[str, Any]
Results = dict[Kind, dict[str, list[Found]]]
"""Cases of benchmarks, by the kind of machine."""

TARGETS = {
    "lenet-5": 0.65,
    "vgg-small": 0.65,
    "resnet-20": 0.85,
    "lenet-5, batch 1": 1.2,
    "vgg-small, batch 1": 1.4,
    "resnet-20, batch 1": 1.8,
    "resnet-20, batch 1, two processes": 1.3,
    "lenet-5, batch 32": 1.3,
    "vgg-small, batch 32": 1.0,
    "resnet-20, batch 32": 1.2,
    "lenet-5 on MNIST, their augmentation picture by picture": 0.5,
    "resnet-18 at 224x224, inference, batch 1": 1.5,
    "resnet-18 at 224x224, inference, batch 8": 1.5,
    "squeezenet-1.1 at 224x224, inference, batch 1": 1.8,
    "squeezenet-1.1 at 224x224, inference, batch 8": 1.8,
    "mobilenet-v2 at 224x224, inference, batch 1": 2.5,
    "mobilenet-v2 at 224x224, inference, batch 8": 2.5,
    "features of mobilenet-v2 at 224x224, 64 pictures": 1.8,
    "features of mobilenet-v2 at 96x96, 64 pictures": 1.8,
    "100 pictures of 224x224, request to served model": 1.0,
    "100 pictures of 128x128, request to served model": 1.0,
}
"""The most that our time may be of the other side's, on every kind of machine."""
_MORE = (
    "share_of_sgemm",
    "megabytes",
    "images_per_second",
    "seconds_ours",
    "seconds_theirs",
)


def keep(on: Kind, benchmark: str, found: Sequence[Found], names: Sequence[str]) -> None:
    """Put the results of a benchmark in place of those before, and write the tables anew.

    Args:
        on: the machine that they were measured on.
        benchmark: which one.
        found: what was measured, of all of its cases or of some.
        names: of all of its cases, in their order; results of others, which it had before, go.
    """
    tools = {"NumPy": "numpy", "PyTorch": "torch", "ONNX Runtime": "onnxruntime"}
    versions = {name: version(package).partition("+")[0] for name, package in tools.items()}
    known = parsed(RESULTS.read_text(encoding="utf-8"))
    merge(known, on, benchmark, [case | {"versions": versions} for case in found], names)
    RESULTS.write_text(written(known), encoding="utf-8")
    put(PAGE, "measured", page(known))


def merge(known: Results, on: Kind, benchmark: str, found: Sequence[Found], names: Sequence[str]) -> None:
    """Put the results of one kind of machine among those that are known; the arguments are those of `keep`."""
    of_kind = known.setdefault(on, {})
    cases = {case["case"]: case for case in (*of_kind.get(benchmark, ()), *found)}
    of_kind[benchmark] = [cases[name] for name in names if name in cases]


def parsed(text: str) -> Results:
    """Return the results that `written` wrote."""
    return {Kind(**entry["kind"]): entry["benchmarks"] for entry in json.loads(text)["kinds"]}


def written(known: Results) -> str:
    """Return the JSON of all results, a case on a line."""
    kinds = []
    for on, benchmarks in known.items():
        lists = (
            f"   {json.dumps(name)}: [\n    " + ",\n    ".join(map(json.dumps, cases)) + "\n   ]"
            for name, cases in benchmarks.items()
        )
        inside = ",\n".join(lists)
        kinds.append(
            f'  {{\n   "kind": {json.dumps(on._asdict())},\n   "benchmarks": {{\n{inside}\n   }}\n  }}'
        )
    return '{\n "kinds": [\n' + ",\n".join(kinds) + "\n ]\n}\n"


def page(known: Results) -> Iterator[str]:
    """Yield the lines of the page: targets, with what each kind of machine takes, and then the tables of each kind."""
    yield "## Targets\n"
    yield "The most that our time may be of the other side's, and what it is.\n"
    yield "| case | target | " + " | ".join(map(str, known)) + " |"
    yield "|---|---:|" + "---|" * len(known)
    ratios = [
        {case["case"]: case["ratio"] for cases in benchmarks.values() for case in cases}
        for benchmarks in known.values()
    ]
    for name, target in TARGETS.items():
        cells = (_judged(of_kind.get(name), target) for of_kind in ratios)
        yield f"| {name} | {target:.2f} | " + " | ".join(cells) + " |"
    for on, benchmarks in known.items():
        yield f"\n## {on}"
        for benchmark, cases in benchmarks.items():
            yield from _table(benchmark, cases)


def _table(benchmark: str, cases: Sequence[Found]) -> Iterator[str]:
    made_with = [", ".join(f"{name} {number}" for name, number in case["versions"].items()) for case in cases]
    differ = len(set(made_with)) > 1
    more = [name for name in _MORE if any(name in case for case in cases)]
    heads = ["case", "ratio (quartiles)", "against", "to its fast quartile", "target", "ours, ms", *more]
    yield f"\n### {benchmark}\n"
    if not differ:
        yield f"{made_with[0]}.\n"
    yield "| " + " | ".join(head.replace("_", " ") for head in heads) + (" | with |" if differ else " |")
    yield "|---|---:|---|---:|---:|---:|" + "---:|" * len(more) + ("---|" if differ else "")
    for case, versions in zip(cases, made_with, strict=True):
        target = TARGETS.get(case["case"])
        cells = [
            case["case"],
            _spread(case["ratio"]),
            case["against"],
            f"{case['against_fast_quartile']:.2f}",
            "" if target is None else f"{target:.2f}",
            f"{case['milliseconds']['ours']:.2f}",
            *(_value(case.get(name)) for name in more),
            *([versions] if differ else []),
        ]
        yield "| " + " | ".join(cells) + " |"


def _judged(ratio: dict[str, float] | None, target: float) -> str:
    if ratio is None:
        return ""
    # as precise as it is shown
    return f"{_spread(ratio)}: {'yes' if round(ratio['median'], 2) <= target else 'NO'}"


def _spread(ratio: dict[str, float]) -> str:
    return f"{ratio['median']:.2f} ({ratio['low']:.2f}-{ratio['high']:.2f})"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {part:,}" for name, part in value.items())
    return "" if value is None else f"{value:.0%}"
