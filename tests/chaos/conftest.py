"""How often something is tried, and by which chance."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest


@pytest.fixture(scope="session")
def times(pytestconfig: pytest.Config) -> Callable[[int, int], int]:
    """Choose a count: `times(200, 5)` is 200 in `make chaos`, 20 where that has COUNTS=10, and 5 elsewhere."""
    percent = pytestconfig.getoption("--counts")
    return lambda full, reduced: max(reduced, full * percent // 100)


@pytest.fixture
def chance(pytestconfig: pytest.Config, request: pytest.FixtureRequest) -> random.Random:
    """Draws of a test's own, the same for the same `--chance`."""
    return random.Random(f"{pytestconfig.getoption('--chance')} {request.node.name}")  # noqa: S311
