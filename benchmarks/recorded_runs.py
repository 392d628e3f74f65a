"""Runs that take long, kept in the repository: a command repeats none of them, and adds what is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "recorded"


class RecordedRuns:
    """Runs in a JSON file, by way, pictures a class and seed."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._runs: dict[str, dict[str, Any]] = (
            json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        )

    def has(self, way: str, count: int, seed: int) -> bool:
        """Tell whether there is a run."""
        return _key(way, count, seed) in self._runs

    def add(self, way: str, count: int, seed: int, run: dict[str, Any]) -> None:
        """Write down a run, at once: the command may be stopped."""
        self._runs[_key(way, count, seed)] = run
        lines = [f"  {json.dumps(key)}: {json.dumps(self._runs[key])}" for key in sorted(self._runs)]
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")

    def of(self, way: str, count: int) -> list[dict[str, Any]]:
        """Return the runs of a way from so many pictures a class, of all seeds."""
        return [run for key, run in sorted(self._runs.items()) if key.startswith(f"{way} {count} ")]


def _key(way: str, count: int, seed: int) -> str:
    return f"{way} {count} {seed}"
