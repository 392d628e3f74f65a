"""The table of faults names tests that there are, and the page has every row of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.chaos.faults import FAULTS, Fault
from tests.chaos.page import PAGE, results, row

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.what)
def test_its_tests_exist(fault: Fault) -> None:
    for test in fault.tests:
        file, _, name = test.partition("::")
        source = (TESTS / file).read_text(encoding="utf-8")
        assert re.search(rf"^def {name or 'test_'}\w*\(", source, re.M), test


def test_the_page_has_what_the_table_has() -> None:
    page = PAGE.read_text(encoding="utf-8")
    said = results(page)
    assert list(said) == [fault.what for fault in FAULTS]
    assert all(row(fault, said[fault.what]) in page for fault in FAULTS)
