"""`python -m benchmarks training-step | inference | layers | scaling | epoch | transfer | all`: how fast it is.

Prints on which kind of machine it runs, and a line per case; keeps all results in docs/performance.json and the tables
of each kind in docs/performance-figures.md. Method: `benchmarks/duel.py`.
"""

from __future__ import annotations

import argparse
from fnmatch import fnmatchcase

from benchmarks.comparisons import BENCHMARKS
from benchmarks.duel import Side, value
from benchmarks.machine import Kind
from benchmarks.report import keep


def main() -> None:
    """Run one benchmark, or all, or some cases, and write the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("benchmark", choices=[*BENCHMARKS, "all"])
    parser.add_argument(
        "--only", nargs="+", default=["*"], metavar="CASE", help="names of cases; * stands for anything"
    )
    parser.add_argument(
        "--list", action="store_true", help="print the names of the cases and measure nothing"
    )
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--data", default="data", help="directory with mnist/, for `epoch`")
    parser.add_argument("--no-keep", action="store_true", help="print only, write no files")
    options = parser.parse_args()
    names = list(BENCHMARKS) if options.benchmark == "all" else [options.benchmark]
    cases = {name: list(BENCHMARKS[name](options.data)) for name in names}
    chosen = {
        name: [case for case in listed if any(fnmatchcase(case.name, pattern) for pattern in options.only)]
        for name, listed in cases.items()
    }
    if not any(chosen.values()):
        parser.error(f"no case is called {' or '.join(options.only)}; --list names those that there are")
    if options.list:
        print("\n".join(f"{name}: {case.name}" for name, listed in chosen.items() for case in listed))
        return
    # asked in a process of its own, as all sides are: it is told there which kernels to take
    machine = Kind(*value(Side("benchmarks.machine", "kind", {}, 1)))
    print(machine, flush=True)
    for name, listed in chosen.items():
        found = [case.measure(options.rounds) for case in listed]
        if found and not options.no_keep:
            keep(machine, name, found, [case.name for case in cases[name]])


if __name__ == "__main__":
    main()
