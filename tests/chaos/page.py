"""A plugin of pytest for `make chaos`: it writes what was tried, and how that ended, to docs/faults.md."""

from __future__ import annotations

import platform
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.chaos.faults import FAULTS, Fault
from tests.pages import rewrite

PAGE = Path(__file__).resolve().parents[2] / "docs" / "faults.md"
HEAD = """# Faults

What was tried, with real processes, real files and real connections: what goes wrong, what you see of it, what is kept,
and when all is as before. This page is written by `make chaos`, which runs every test named here at its full counts;
`make test`, `make test-slow` and `make test-cluster` run them with fewer repetitions. Figures depend on the machine and
on what else it did; the tests assert order, counts, and ceilings ten times as large.

| fault | what you see | what is kept | time to recover | the test | its last result |
|---|---|---|---|---|---|
"""
NOT_RUN = "not run yet"


def name_of(nodeid: str) -> str:
    """Return the id of a test relative to `tests`."""
    return nodeid.removeprefix("tests/")


def row(fault: Fault, result: str) -> str:
    """Return a line of the table."""
    tests = ", ".join(f"`tests/{name}`" for name in fault.tests)
    return f"| {fault.what} | {fault.seen} | {fault.kept} | {fault.recovery} | {tests} | {result} |\n"


def results(page: str) -> dict[str, str]:
    """Return the last result of each fault that the page has."""
    return dict(re.findall(r"^\| (.+?) \|.*\| (.+) \|$", page, re.M)[1:])


def written(page: str, new: Mapping[str, str]) -> str:
    """Return the page with new results; a fault without one keeps its last."""
    found = results(page) | dict(new)
    return HEAD + "".join(row(fault, found.get(fault.what, NOT_RUN)) for fault in FAULTS)


def result(reports: Iterable[pytest.TestReport]) -> str:
    """Return in words how the tests of a fault ended, and the figures that they have recorded."""
    reports = list(reports)
    ends = Counter(report.outcome for report in reports)
    figures: dict[str, list[str]] = {}
    for report in reports:
        for name, value in report.user_properties:
            figures.setdefault(name, []).append(str(value))
    said = ", ".join(f"{count} {outcome}" for outcome, count in sorted(ends.items()))
    return "; ".join(
        [
            f"{datetime.now(UTC).date()}: {said}",
            *(f"{name} {', '.join(values)}" for name, values in figures.items()),
        ]
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write the page, from what ran."""
    if hasattr(terminalreporter.config, "workerinput"):  # of what ran in all of them
        return
    reports = [
        report
        for outcome in ("passed", "failed", "error", "skipped")
        for report in terminalreporter.getreports(outcome)
        if report.when == "call" or report.outcome != "passed"
    ]
    ran = {
        fault.what: mine
        for fault in FAULTS
        if (mine := [report for report in reports if fault.covers(name_of(report.nodeid))])
    }
    new = {what: result(mine) for what, mine in ran.items()}
    rewrite(PAGE, lambda page: written(page, new))
    terminalreporter.write_line(
        f"{PAGE.name} written on Python {platform.python_version()}, {platform.system()}"
    )
