"""Runs a section as a script, against a service that is there or one of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from app.cli.launch import ServerProcess
from examples.learn import writing

Answers = dict[str, httpx.Response]
Section = Callable[[httpx.Client], Answers]

_PATIENCE = 120.0


@contextmanager
def connected(address: str | None = None) -> Iterator[httpx.Client]:
    """Connect to the service at an address, or start one with an empty data directory and stop it at the end."""
    if address is not None:
        with httpx.Client(base_url=address, timeout=_PATIENCE) as service:
            yield service
        return
    with TemporaryDirectory(prefix="convserve-learn-") as folder:
        process = ServerProcess(Path(folder) / "data", Path(folder) / "service.log")
        with process as url, connected(url) as service:
            yield service


def run(section: Section) -> None:
    """Make the calls of a section and print them with what was answered."""
    with connected(sys.argv[1] if len(sys.argv) > 1 else None) as service:
        for name, answer in section(service).items():
            print(f"--- {name}\n{writing.call(answer)}\n\n{writing.short_answer(answer)}\n")
