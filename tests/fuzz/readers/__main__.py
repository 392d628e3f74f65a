"""`make fuzz-readers`: each reader in a process of its own, two at a time; what came of it goes into docs/fuzzing.md.

python -m tests.fuzz.readers [--runs N] [--seconds N] [NAME ...]
python -m tests.fuzz.readers --replay NAME FILE
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.fuzz.readers.target import all_targets, named
from tests.pages import rewrite

ROOT = Path(__file__).parents[3]
BUILD = ROOT / "build" / "fuzz"
PAGE = ROOT / "docs" / "fuzzing.md"
ALL_RUNS = 1_000_000
_FIGURES = re.compile(r"(?<=<!-- readers -->\n).*(?=<!-- /readers -->)", re.DOTALL)
_COVERED = re.compile(r"cov: (\d+)")


def main() -> int:
    """Fuzz, or give one input to its reader; return 1 if there was a find."""
    parser = argparse.ArgumentParser(prog="make fuzz-readers")
    parser.add_argument("names", nargs="*", help="readers; all of them by default")
    parser.add_argument("--runs", type=int, help=f"inputs for each; by default {ALL_RUNS:,} for all together")
    parser.add_argument(
        "--seconds", type=int, default=0, help="for each at most; by default as long as it takes"
    )
    parser.add_argument("--replay", nargs=2, metavar=("NAME", "FILE"), help="give a reader one input")
    options = parser.parse_args()
    if options.replay:
        name, file = options.replay
        print("taken" if named(name).attempt(Path(file).read_bytes()) else "refused")
        return 0
    every = [target.name for target in all_targets()]
    unknown = set(options.names) - set(every)
    if unknown:
        parser.error(f"there is no reader {sorted(unknown)[0]}; there are {', '.join(every)}")
    runs = options.runs or -(-ALL_RUNS // len(every))
    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as threads:
        chosen = options.names or every
        outcomes = list(threads.map(lambda name: _fuzz(name, runs, options.seconds), chosen))
    rewrite(PAGE, lambda page: _written(page, every, chosen))
    return int(any(outcomes))


def _fuzz(name: str, runs: int, seconds: int) -> bool:
    """Fuzz one reader; return whether there was a find."""
    folder = BUILD / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "figures.json").unlink(missing_ok=True)
    log = folder / "log"
    command = [sys.executable, "-m", "tests.fuzz.readers.watched", name, str(folder)]
    command += [str(runs), str(seconds)]
    with log.open("w") as output:
        ended = subprocess.run(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, check=False)
    text = log.read_text(errors="replace")
    found = [line for line in text.splitlines() if line.startswith("FIND ")]
    found += [f"FIND {file}: the process ended" for file in _left(folder)]
    covered = _COVERED.findall(text)
    figures = _figures(name) | {
        "branches": int(covered[-1]) if covered else 0,
        "finds": len(found),
        "date": datetime.now(UTC).date().isoformat(),
    }
    (folder / "last.json").write_text(json.dumps(figures))
    print(f"{name}: {figures.get('inputs', 0):,} inputs, {len(found)} finds", flush=True)
    for line in found:
        print(f"  {line}")
        print(f"  again: make fuzz-readers ARGS='--replay {name} {line.split()[1].rstrip(':')}'", flush=True)
    if ended.returncode and not found:
        print(f"  it ended with status {ended.returncode}: see {log}")
    return bool(found or ended.returncode)


def _left(folder: Path) -> list[Path]:
    """Return what libFuzzer itself has kept: inputs that ended the process, or took for ever."""
    return [file for kind in ("crash", "timeout", "oom") for file in (folder / "finds").glob(f"{kind}-*")]


def _figures(name: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((BUILD / name / "figures.json").read_text())
    except FileNotFoundError:
        return {}
    return found


def _written(page: str, names: list[str], ran: list[str]) -> str:
    """Return the page with the figures of those that ran, and the lines that it has of others."""
    found = _FIGURES.search(page)
    rows = {line.split("`")[1]: line for line in found[0].splitlines() if "`" in line} if found else {}
    for name in ran:
        last = json.loads((BUILD / name / "last.json").read_text())
        numbers = [last.get(key, 0) for key in ("inputs", "taken", "branches", "finds", "seconds")]
        cells = [_inputs_of(rows.get(name, "")) + numbers[0], *numbers]
        rows[name] = f"| `{name}` | " + " | ".join(f"{number:,}" for number in cells) + f" | {last['date']} |"
    lines = [
        "| reader | inputs so far | of the last run | taken | branches seen | finds | seconds | day |",
        "|---|---|---|---|---|---|---|---|",
        *(rows[name] for name in names if name in rows),
        f"| all | {sum(map(_inputs_of, rows.values())):,} | | | | | | |",
    ]
    return _FIGURES.sub(lambda _: "\n".join(lines) + "\n", page)


def _inputs_of(row: str) -> int:
    """Return how many inputs a reader has had in all, by its line."""
    return int(row.split("|")[2].replace(",", "")) if row else 0


if __name__ == "__main__":
    sys.exit(main())
