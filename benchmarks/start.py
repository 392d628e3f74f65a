"""`python -m benchmarks.start`: how soon the service answers after it was started, beside the simplest peer.

The peer (`benchmarks/http/peers/plain.py`) is FastAPI and ONNX Runtime with a LeNet-5. Each side is started in turn,
asked for `/livez` until it answers, then for what it sees in a picture. Time is that of the clock, and that of the
processor for all of a side's threads and processes: the clock also counts what others do on the same cores. Ours is
started on a fresh data directory, which is then filled, and on one that is there. Each side is then started again, left
alone for some seconds, and its resident memory is read; ours then on a data directory in which no model was used.
`--plain` names the interpreter with what the peer needs, by default this one.

Writes the section on the start in docs/performance.md.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.http.cases import CASES, write_files
from benchmarks.http.processes import ROOT, Moment, ask, free_port, moment, running
from benchmarks.http.sides import PLAIN as PEER
from benchmarks.http.sides import Side, ours, plain

PAGE = ROOT / "docs" / "performance.md"
_BEGIN, _END = "<!-- measured start -->", "<!-- /measured start -->"
_IDLE_SECONDS = 5.0

FRESH, AGAIN = "convserve, fresh data directory", "convserve"


class Start(NamedTuple):
    """One start of one side."""

    alive: Moment
    prediction: Moment
    idle: int


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--plain", default=sys.executable, help="interpreter of the peer")
    parser.add_argument("--service", default=sys.executable, help="interpreter of the service")
    parser.add_argument("--keep", action="store_true", help="write docs/performance.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        case = CASES["lenet"]
        _, network = write_files(case, directory)
        peer = plain(case, options.plain, network)
        measured: dict[str, list[Start]] = {PEER: [], FRESH: [], AGAIN: []}
        for number in range(options.rounds):
            service = ours(case, options.service, directory / str(number), "model_example")
            unasked = ours(case, options.service, directory / f"{number}-unasked", "model_example")
            sides = {PEER: (peer, peer), FRESH: (service, unasked), AGAIN: (service, unasked)}
            for title, (side, idle_side) in sides.items():
                measured[title].append(start(side, idle_side))
        lines = list(table(measured))
    print("\n".join(lines))
    if options.keep:
        text = PAGE.read_text(encoding="utf-8")
        before, after = text.partition(_BEGIN)[0], text.partition(_END)[2]
        PAGE.write_text(f"{before}{_BEGIN}\n\n" + "\n".join(lines) + f"\n\n{_END}{after}", encoding="utf-8")


def start(side: Side, idle_side: Side) -> Start:
    """Start a side and ask it for two answers; then one that is left alone for a while after one answer.

    The other has a data directory none of whose models was ever used: those that were are loaded after a start.
    """
    alive, prediction = first_answers(side)
    return Start(alive, prediction, idle(idle_side))


def first_answers(side: Side) -> tuple[Moment, Moment]:
    """Start a side; return when it was alive and when it had answered for a picture."""
    port = free_port()
    with running(side.command(port), side.environment) as (process, began):
        ask(port, side.ready(), process)
        alive = moment(process, began)
        ask(port, side.question(close=True), process)
        return alive, moment(process, began)


def idle(side: Side) -> int:
    """Start a side and return how many bytes are resident when it has been left alone for a while."""
    port = free_port()
    with running(side.command(port), side.environment) as (process, began):
        ask(port, side.ready(), process)
        time.sleep(_IDLE_SECONDS)
        return moment(process, began).resident


def table(measured: dict[str, list[Start]]) -> Iterator[str]:
    yield "| | /livez: clock, s | processor, s | ratio | prediction: clock, s | processor, s | ratio | idle, MB |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|"
    for side, starts in measured.items():
        cells = [side]
        for part in ("alive", "prediction"):
            clock = [getattr(one, part).clock for one in starts]
            processor = [getattr(one, part).processor for one in starts]
            # within a round, so that a slow minute is in both
            ratios = [
                getattr(one, part).processor / getattr(peer, part).processor
                for one, peer in zip(starts, measured[PEER], strict=True)
            ]
            cells += [
                f"{statistics.median(clock):.2f}",
                f"{statistics.median(processor):.2f}",
                spread(ratios),
            ]
        cells.append(f"{statistics.median(one.idle for one in starts) / 1e6:.0f}")
        yield "| " + " | ".join(cells) + " |"


def spread(ratios: list[float]) -> str:
    low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    return f"{middle:.2f} ({low:.2f}-{high:.2f})"


if __name__ == "__main__":
    main()
