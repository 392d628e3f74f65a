"""`python -m benchmarks training-step`: prints a line per case, and keeps what it measured as JSON.

Method: `benchmarks/duel.py`. Two threads for every side: ours as two shares of the batch with one BLAS
thread each, PyTorch's as its own two.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.duel import Side, ratio, run

RESULTS = Path(__file__).parents[1] / "docs" / "performance"
_PRESETS = ("lenet-5", "vgg-small", "resnet-20")
_MODES = ("eager", "channels_last", "compile")


def training_step(rounds: int) -> list[dict[str, Any]]:
    """Time a training step on 64 pictures against the best mode of PyTorch."""
    results = []
    for preset in _PRESETS:
        case = {"preset": preset, "batch": 64}
        sides = {
            "ours": Side("benchmarks.sides", "training_step", {**case, "shares": 2}, 1),
            **{
                mode: Side("benchmarks.torch_sides", "training_step", {**case, "mode": mode}, 2)
                for mode in _MODES
            },
        }
        timings = run(sides, rounds)
        theirs = min((name for name in timings if name != "ours"), key=lambda name: timings[name].median)
        found = ratio(timings["ours"], timings[theirs])
        fast = timings["ours"].median / timings[theirs].fast
        print(f"{preset} ratio {found} vs {theirs}; {fast:.2f} against its fast quartile", flush=True)
        results.append(
            {
                "case": case,
                "ratio": found._asdict(),
                "against": theirs,
                "milliseconds": {name: round(1e3 * timing.median, 3) for name, timing in timings.items()},
            }
        )
    return results


_BENCHMARKS = {"training-step": training_step}


def main() -> None:
    """Run one benchmark and write its results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("benchmark", choices=sorted(_BENCHMARKS))
    parser.add_argument("--rounds", type=int, default=11)
    options = parser.parse_args()
    results = _BENCHMARKS[options.benchmark](options.rounds)
    RESULTS.mkdir(parents=True, exist_ok=True)
    document = {"cpu": platform.machine(), "numpy": np.__version__, "results": results}
    (RESULTS / f"{options.benchmark}.json").write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
