"""Fuzzes one reader, guided by which of its branches run; `python -m tests.fuzz.readers` starts it for each.

python -m tests.fuzz.readers.watched NAME FOLDER RUNS SECONDS
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
import traceback
from pathlib import Path

import atheris

with atheris.instrument_imports(
    include=["app", "engine", "gzip", "json", "python_multipart", "tarfile", "zipfile"]
):
    from tests.fuzz.readers.target import Find, named

    _TARGET = named(sys.argv[1])

FIGURES = "figures.json"
_LONGEST = 16_384
_WRITTEN_EVERY = 500
_HANGS_AFTER_SECONDS = 300
"""By the clock, which on a busy machine is more than what the processor did; that is `MOST_SECONDS` at most."""
_MEBIBYTES = 4096


class _Fuzzing:
    """What has been found so far, in a folder."""

    def __init__(self, folder: Path, runs: int) -> None:
        self._folder, self._runs = folder, runs
        self._began = time.monotonic()
        self._seen: set[str] = set()
        self._taken = self._inputs = 0

    def attempt(self, data: bytes) -> None:
        """Give the reader an input; a find is kept and gone on from."""
        self._inputs += 1
        try:
            self._taken += _TARGET.attempt(data)
        except Find as find:
            self._note(find, data)
        if self._inputs % _WRITTEN_EVERY == 0 or self._inputs >= self._runs:
            self._write()

    def _note(self, find: Find, data: bytes) -> None:
        frames = traceback.extract_tb(find.__cause__.__traceback__) if find.__cause__ else []
        places = [f"{frame.filename}:{frame.lineno}" for frame in frames[-1:]]
        if (identity := f"{find.kind} {places}") in self._seen:
            return
        self._seen.add(identity)
        file = self._folder / "finds" / hashlib.sha256(data).hexdigest()[:12]
        file.write_bytes(data)
        print(f"FIND {file}: {find} {places}", file=sys.stderr, flush=True)

    def _write(self) -> None:
        figures = {
            "inputs": self._inputs,
            "taken": self._taken,
            "finds": len(self._seen),
            "seconds": round(time.monotonic() - self._began),
        }
        (self._folder / FIGURES).write_text(json.dumps(figures))


def main(folder: Path, runs: int, seconds: int) -> None:
    """Fuzz the reader, for at most so many seconds; 0 is without end."""
    for name in ("inputs", "seeds", "finds"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number, data in enumerate([*_TARGET.seeds(), *_TARGET.kept().values()]):
        (folder / "seeds" / str(number)).write_bytes(data)
    options = {
        "runs": runs,
        "max_total_time": seconds,
        "max_len": _LONGEST,
        "timeout": _HANGS_AFTER_SECONDS,
        "rss_limit_mb": _MEBIBYTES,
        "print_final_stats": 1,
        "artifact_prefix": f"{folder}/finds/",
    }
    command = [sys.argv[0], *(f"-{name}={value}" for name, value in options.items())]
    atheris.Setup([*command, str(folder / "inputs"), str(folder / "seeds")], _Fuzzing(folder, runs).attempt)
    atheris.Fuzz()


if __name__ == "__main__":
    main(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
