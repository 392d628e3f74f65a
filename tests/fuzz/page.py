"""A plugin of pytest for `make fuzz`: it writes what was called, and what was answered, to docs/fuzzing.md."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.pages import rewrite

PAGE = Path(__file__).resolve().parents[2] / "docs" / "fuzzing.md"
_PART = re.compile(r"(?<=<!-- calls -->\n).*(?=<!-- /calls -->)", re.DOTALL)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write the statuses of all answers, and which operations failed."""
    if hasattr(terminalreporter.config, "workerinput"):  # of what ran in all of them
        return
    reports = [
        report
        for outcome in ("passed", "failed", "error")
        for report in terminalreporter.getreports(outcome)
        if report.when == "call" or report.outcome != "passed"
    ]
    answers: Counter[str] = Counter()
    for report in reports:
        answers.update(dict(report.user_properties))
    if not answers:
        return
    failed = [report.nodeid.partition("[")[2].removesuffix("]") for report in reports if not report.passed]
    lines = [
        f"On {datetime.now(UTC).date()} {len(reports)} operations were called {answers.total():,} times; ",
        f"failed: {', '.join(f'`{label}`' for label in failed) or 'none'}.\n",
        "\n| status | answers |\n|---|---|\n",
        *(f"| {status} | {count:,} |\n" for status, count in sorted(answers.items())),
    ]
    rewrite(PAGE, lambda page: _PART.sub(lambda _: "".join(lines), page))
    terminalreporter.write_line(f"{PAGE.name} written")
