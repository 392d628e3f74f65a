"""Keeps what was measured: one JSON of all results, and the tables in docs/performance-http.md made from it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from benchmarks.http.processes import ROOT
from benchmarks.http.sides import LITSERVE, OURS, PLAIN, PLAIN_PROTOCOL
from benchmarks.machine import processor

RESULTS = ROOT / "docs" / "performance-http.json"
PAGE = ROOT / "docs" / "performance-http.md"
_BEGIN, _END = "<!-- measured -->", "<!-- /measured -->"
_PACKAGES = ("fastapi", "uvicorn", "uvloop", "httptools", "numpy", "pillow", "onnxruntime", "litserve")

TO_PLAIN = {1: 1.0, 8: 1.3, 64: 1.5}
"""How many times the plain peer's LeNet-5 predictions a second are wanted, by connections, for a picture."""
TENSOR_TO_PLAIN = 1.0
"""For a tensor, at any number of connections, of the peer that speaks the same protocol."""
TO_LITSERVE = 3.0
START = 1.2
"""How many times the plain peer's time to the first answer may be taken."""
IDLE_MEGABYTES = 90
MEGABYTES = {"lenet-5": 110, "mobilenet-v2": 250}
"""Resident at most, for each process, while it predicts."""
P99_WITH_JOB = 3.0
JOB = 0.9
"""What a training job keeps of its speed, at least, beside predictions."""
READS = 1000 / 736
"""Reads of a job for each prediction of the plain peer at one connection: 1,000 a second where that does 736."""

Found = dict[str, Any]


def keep(section: str, found: list[Found]) -> None:
    """Put results in place of those before that they repeat, and write the tables anew."""
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    known |= {
        "processor": processor(),
        "cores": os.cpu_count(),
        "versions": {name: number for name in _PACKAGES if (number := _version(name))},
    }
    before = [entry for entry in known.get(section, []) if _key(entry) not in map(_key, found)]
    known[section] = sorted(before + found, key=_order) if section == "predictions" else found
    lines = [
        f' "{name}": [\n  ' + ",\n  ".join(map(json.dumps, value)) + "\n ]"
        if isinstance(value, list)
        else f' "{name}": {json.dumps(value)}'
        for name, value in known.items()
    ]
    RESULTS.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    text = PAGE.read_text(encoding="utf-8")
    start, end = text.partition(_BEGIN)[0], text.partition(_END)[2]
    PAGE.write_text(f"{start}{_BEGIN}\n\n" + "\n".join(_page(known)) + f"\n\n{_END}{end}", encoding="utf-8")


def _page(known: Found) -> Iterator[str]:
    versions = ", ".join(f"{name} {number}" for name, number in known["versions"].items())
    yield f"On {known['cores']} cores of {known['processor']}; {versions}."
    if "predictions" in known:
        yield from _predictions(known["predictions"])
    if "starts" in known:
        yield from _starts(known["starts"])
    if "reading" in known:
        yield from _reading(known["reading"])
    if "training" in known:
        yield from _training(known["training"][0])


def _predictions(entries: list[Found]) -> Iterator[str]:
    for case in dict.fromkeys(entry["case"] for entry in entries):
        yield f"\n### {case}\n"
        yield (
            "| connections | server | requests/s | times plain | wanted | p50, ms | p99, ms "
            "| processor, ms | to plain's | MB | errors |"
        )
        yield "|---:|---|---:|---:|---|---:|---:|---:|---:|---:|---:|"
        for entry in entries:
            if entry["case"] == case:
                cells = [
                    str(entry["connections"]),
                    entry["side"],
                    _written(entry["per_second"], 0),
                    "" if entry["to_plain"] is None else _written(entry["to_plain"], 2),
                    ", ".join(wanted(entry, entries)),
                    _written(entry["p50_ms"], 1),
                    _written(entry["p99_ms"], 1),
                    _written(entry["processor_ms"], 2),
                    "" if entry["processor_to_plain"] is None else _written(entry["processor_to_plain"], 2),
                    f"{entry['megabytes']:.0f}",
                    str(entry["errors"]),
                ]
                yield "| " + " | ".join(cells) + " |"


def wanted(entry: Found, entries: list[Found]) -> Iterator[str]:
    """Yield what is wanted of an entry of ours, and whether it is so."""
    if entry["side"] != OURS:
        return
    preset, connections = entry["case"].rpartition(" ")[2], entry["connections"]
    others = {
        other["side"]: entry["per_second"]["median"] / other["per_second"]["median"]
        for other in entries
        if (other["case"], other["connections"]) == (entry["case"], connections)
    }
    if PLAIN_PROTOCOL in others:
        yield _judged("at least", TENSOR_TO_PLAIN, others[PLAIN_PROTOCOL]) + " by the protocol"
    elif preset == "lenet-5" and connections in TO_PLAIN and entry["to_plain"] is not None:
        yield _judged("at least", TO_PLAIN[connections], entry["to_plain"]["median"])
        if LITSERVE in others:
            yield _judged("at least", TO_LITSERVE, others[LITSERVE]) + " of LitServe's"
    if preset in MEGABYTES:
        yield _judged("at most", MEGABYTES[preset], entry["megabytes"]) + " MB"


def _starts(entries: list[Found]) -> Iterator[str]:
    yield "\n### From the start to the first answer, LeNet-5\n"
    yield "| server | alive, s | first prediction, s | times plain | wanted | by the processor | idle, MB | wanted |"
    yield "|---|---:|---:|---:|---|---:|---:|---|"
    for entry in entries:
        mine = entry["side"] == OURS
        cells = [
            entry["side"],
            _written(entry["alive_seconds"], 2),
            _written(entry["answered_seconds"], 2),
            _written(entry["to_plain"], 2),
            _judged("at most", START, entry["to_plain"]["median"]) if mine else "",
            _written(entry["processor_to_plain"], 2),
            f"{entry['idle_megabytes']:.0f}",
            _judged("at most", IDLE_MEGABYTES, entry["idle_megabytes"]) if mine else "",
        ]
        yield "| " + " | ".join(cells) + " |"


def _reading(entries: list[Found]) -> Iterator[str]:
    yield "\n### `GET` of a training job\n"
    yield f"| connections | requests/s | for each prediction of {PLAIN} at one | wanted | p50, ms | p99, ms | errors |"
    yield "|---:|---:|---:|---|---:|---:|---:|"
    for entry in entries:
        cells = [
            str(entry["connections"]),
            _written(entry["per_second"], 0),
            _written(entry["to_one_caller_of_plain"], 2),
            _judged("at least", READS, entry["to_one_caller_of_plain"]["median"]),
            _written(entry["p50_ms"], 1),
            _written(entry["p99_ms"], 1),
            str(entry["errors"]),
        ]
        yield "| " + " | ".join(cells) + " |"


def _training(entry: Found) -> Iterator[str]:
    yield f"\n### {entry['rate']:.0f} predictions a second and a training job, LeNet-5\n"
    yield "| | without the other | with the other | ratio | wanted |"
    yield "|---|---:|---:|---:|---|"
    rows = [
        ("p50 of predictions, ms", "p50_ms", "p50_ms_with_job", None, ""),
        (
            "p99 of predictions, ms",
            "p99_ms",
            "p99_ms_with_job",
            "p99_ratio",
            _judged("at most", P99_WITH_JOB, entry["p99_ratio"]["median"]),
        ),
        (
            "pictures a second of the job",
            "images_per_second",
            "images_per_second_beside",
            "job_ratio",
            _judged("at least", JOB, entry["job_ratio"]["median"]),
        ),
    ]
    for title, without, beside, ratio, judged in rows:
        digits = 0 if "images" in without else 1
        share = "" if ratio is None else _written(entry[ratio], 2)
        both = f"{_written(entry[without], digits)} | {_written(entry[beside], digits)}"
        yield f"| {title} | {both} | {share} | {judged} |"
    yield f"\nAnswers other than 200, and connections lost: {entry['errors']}."


def _judged(bound: str, target: float, value: float) -> str:
    reached = value >= target if bound == "at least" else value <= target
    return f"{bound} {target:.2f}".rstrip("0").rstrip(".") + f": {'yes' if reached else 'NO'}"


def _written(found: Found, digits: int) -> str:
    return f"{found['median']:,.{digits}f} ({found['low']:,.{digits}f}-{found['high']:,.{digits}f})"


def _key(entry: Found) -> tuple[Any, ...]:
    return entry.get("case"), entry.get("connections"), entry.get("side")


def _order(entry: Found) -> tuple[int, int]:
    presets = ("lenet-5", "resnet-20", "mobilenet-v2")
    return presets.index(entry["case"].rpartition(" ")[2]), entry["connections"]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
