"""What tests cost: `make test ARGS="-p tests.costs"` ends with the dearest files and tests.

They are ordered by seconds of the processor, which other work on the machine changes less than those of the clock.
Those of the processes that a test starts count as its own. What a shared server does for a test that has ended is the
cost of the next one. Linux only.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator

import pytest

from benchmarks.machine import processor_seconds

SHOWN = 40

seconds_of_tests: Counter[str] = Counter()
seconds_of_files: Counter[str] = Counter()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Note what had been taken when a test and its fixtures began."""
    item.user_properties.append(("began", processor_seconds(os.getpid())))
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Give the last report of a test what it has cost."""
    report = yield
    began = dict(item.user_properties).get("began")
    if call.when == "teardown" and began is not None:
        report.user_properties = [*report.user_properties, ("cost", processor_seconds(os.getpid()) - began)]
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add it up, in the process that all reports come to."""
    cost = dict(report.user_properties).get("cost")
    if cost is not None:
        seconds_of_tests[report.nodeid] += cost
        seconds_of_files[report.nodeid.partition("::")[0]] += cost


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List the dearest."""
    for what, found in (("files", seconds_of_files), ("tests", seconds_of_tests)):
        terminalreporter.section(f"seconds of the processor: {found.total():.0f}, the dearest {what}")
        dear = [(name, seconds) for name, seconds in found.most_common(SHOWN) if seconds >= 0.05]
        for name, seconds in dear:
            terminalreporter.write_line(f"{seconds:8.1f} {name}")
