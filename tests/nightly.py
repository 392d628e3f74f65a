"""A plugin of pytest for `make nightly`: it writes its part of docs/nightly.md."""

from __future__ import annotations

import platform
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.pages import rewrite

PAGE = Path(__file__).resolve().parents[1] / "docs" / "nightly.md"
_PART = re.compile(r"(?<=<!-- long -->\n).*(?=<!-- /long -->)", re.DOTALL)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write a line for each test that ran."""
    reports = [
        report
        for outcome in ("passed", "failed", "error", "skipped")
        for report in terminalreporter.getreports(outcome)
        if report.when == "call" or report.outcome != "passed"
    ]
    if not reports:
        return
    day = datetime.now(UTC).date()
    lines = [
        f"Last run on {day}, Python {platform.python_version()}, {platform.system()} {platform.machine()}.\n",
        "\n| test | result | seconds | printed |\n|---|---|---|---|\n",
        *(
            f"| `{report.nodeid}` | {report.outcome} | {report.duration:.0f} | {_printed(report)} |\n"
            for report in reports
        ),
    ]
    rewrite(PAGE, lambda page: _PART.sub(lambda _: "".join(lines), page))


def _printed(report: pytest.TestReport) -> str:
    """Return the figures that a test has recorded."""
    return "; ".join(f"{name} {value}" for name, value in report.user_properties)
