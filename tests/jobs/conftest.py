"""A fresh service for each test of jobs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.jobs.service import Service, new_service


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A service with 256 training pictures: 16 steps of 16 in an epoch."""
    with new_service(tmp_path) as service:
        yield service
