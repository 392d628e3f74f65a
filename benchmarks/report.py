"""Keeps what was measured: one JSON of all results, and the tables in docs/performance.md made from it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from benchmarks.machine import processor

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "performance.json"
PAGE = ROOT / "docs" / "performance.md"
_BEGIN, _END = "<!-- measured -->", "<!-- /measured -->"

TARGETS = {
    "lenet-5": 0.70,
    "vgg-small": 0.70,
    "resnet-20": 0.95,
    "lenet-5, batch 1": 1.4,
    "vgg-small, batch 1": 2.2,
    "resnet-20, batch 1": 2.0,
    "resnet-20, batch 1, two processes": 1.3,
    "lenet-5, batch 32": 1.5,
    "vgg-small, batch 32": 1.35,
    "resnet-20, batch 32": 1.35,
    "lenet-5 on MNIST, their augmentation picture by picture": 0.5,
}


def keep(benchmark: str, found: list[dict[str, Any]]) -> None:
    """Put the results of a benchmark in place of those before, and write the tables anew.

    Each has the machine that it ran on: not all are measured on the same one.
    """
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    known.setdefault("machines", {})[benchmark] = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "numpy": np.__version__,
        "torch": torch.__version__.partition("+")[0],
        "onnxruntime": onnxruntime.__version__,
    }
    known.setdefault("benchmarks", {})[benchmark] = found
    RESULTS.write_text(_lines(known), encoding="utf-8")
    text = PAGE.read_text(encoding="utf-8")
    before, after = text.partition(_BEGIN)[0], text.partition(_END)[2]
    PAGE.write_text(
        f"{before}{_BEGIN}\n\n" + "\n".join(_tables(known)) + f"\n\n{_END}{after}", encoding="utf-8"
    )


def _lines(known: dict[str, Any]) -> str:
    """Return the JSON of all results, a case on a line."""
    about = {name: value for name, value in known.items() if name != "benchmarks"}
    lists = (
        f" {json.dumps(name)}: [\n  " + ",\n  ".join(json.dumps(case) for case in cases) + "\n ]"
        for name, cases in known["benchmarks"].items()
    )
    return json.dumps(about, indent=1)[:-2] + ',\n "benchmarks": {\n' + ",\n".join(lists) + "\n }\n}\n"


def _tables(known: dict[str, Any]) -> Iterator[str]:
    yield "A ratio is our time to that of the other side: below 1, ours is less."
    for benchmark, entries in known["benchmarks"].items():
        on = known["machines"][benchmark]
        more = [
            name
            for name in ("share_of_sgemm", "megabytes", "images_per_second", "seconds_ours", "seconds_theirs")
            if any(name in e for e in entries)
        ]
        heads = ["case", "ratio (quartiles)", "against", "to its fast quartile", "target", "ours, ms", *more]
        yield f"\n### {benchmark}\n"
        yield (
            f"On {on['cores']} cores of {on['processor']}, NumPy {on['numpy']}, PyTorch {on['torch']}, "
            f"ONNX Runtime {on['onnxruntime']}.\n"
        )
        yield "| " + " | ".join(head.replace("_", " ") for head in heads) + " |"
        yield "|---|---:|---|---:|---:|---:|" + "---:|" * len(more)
        for entry in entries:
            ratio, target = entry["ratio"], TARGETS.get(entry["case"])
            cells = [
                entry["case"],
                f"{ratio['median']:.2f} ({ratio['low']:.2f}-{ratio['high']:.2f})",
                entry["against"],
                f"{entry['against_fast_quartile']:.2f}",
                "" if target is None else f"{target:.2f}",
                f"{entry['milliseconds']['ours']:.2f}",
                *(_written(entry.get(name)) for name in more),
            ]
            yield "| " + " | ".join(cells) + " |"


def _written(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {part:,}" for name, part in value.items())
    return "" if value is None else f"{value:.0%}"
