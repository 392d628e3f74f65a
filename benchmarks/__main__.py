"""`python -m benchmarks training-step | inference | layers | scaling | epoch | all`: how fast it is beside others.

Prints a line per case; keeps all results in docs/performance.json and the tables in docs/performance.md.
Method: `benchmarks/duel.py`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.comparisons import BENCHMARKS
from benchmarks.report import keep


def main() -> None:
    """Run one benchmark, or all, and write the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("benchmark", choices=[*BENCHMARKS, "all"])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--data", default="data", help="directory with mnist/, for `epoch`")
    options = parser.parse_args()
    for name in BENCHMARKS if options.benchmark == "all" else [options.benchmark]:
        if name == "epoch" and not (Path(options.data) / "mnist").is_dir():
            print(f"epoch: left out, there is no {options.data}/mnist (--data names the directory)")
            continue
        keep(name, list(BENCHMARKS[name](options.rounds, options.data)))


if __name__ == "__main__":
    main()
