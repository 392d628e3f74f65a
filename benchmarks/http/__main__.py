"""`python -m benchmarks.http`: how fast the service answers over HTTP, beside other servers with the same networks.

Prints a line per case and side, and keeps all results in docs/performance-http.json and the tables in
docs/performance-http.md. Method: `benchmarks/http/rounds.py`; load: `benchmarks/http/load.py`.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks.http.beside_training import training
from benchmarks.http.cases import CASES
from benchmarks.http.report import keep
from benchmarks.http.rounds import Effort, place, predictions, reading, starts
from benchmarks.http.sides import Interpreters

PARTS = (*CASES, "starts", "reading", "training")


def main() -> None:
    """Measure what is asked for and write the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.http", description=__doc__)
    parser.add_argument("--cases", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--connections", nargs="+", type=int, default=(1, 8, 64))
    parser.add_argument("--seconds", type=float, default=2.0, help="of a round of one side")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--service", default=sys.executable, help="interpreter of the service")
    parser.add_argument("--peers", default=sys.executable, help="interpreter of the other servers")
    parser.add_argument("--mlserver", help="interpreter of MLServer, which needs an earlier FastAPI")
    parser.add_argument("--plain-only", action="store_true", help="without LitServe and MLServer")
    parser.add_argument("--no-keep", action="store_true", help="print only, write no files")
    options = parser.parse_args()
    others = (None, None) if options.plain_only else (options.peers, options.mlserver)
    interpreters = Interpreters(options.service, options.peers, *others)
    effort = Effort(options.rounds, options.seconds, tuple(options.connections))
    networks = [name for name in CASES if name in options.cases or name == "lenet"]
    with place(networks, interpreters) as where:
        for part in PARTS:
            if part not in options.cases:
                continue
            if part in CASES:
                section, found = "predictions", list(predictions(part, where, interpreters, effort))
            elif part == "starts":
                section, found = part, list(starts(where, interpreters, effort.rounds))
            elif part == "reading":
                section, found = part, list(reading(where, interpreters, effort))
            else:
                section, found = part, list(training(where, interpreters, effort))
            if not options.no_keep:
                keep(section, found)


if __name__ == "__main__":
    main()
