"""What processes that died have left behind: gone before anybody serves, and later on only what is surely nobody's."""

from __future__ import annotations

import fcntl
import os
import time

import pytest

from app.files import paths
from app.jobs.leftovers import ALONE, SAFE, remove_leftovers
from tests.jobs.service import Service

LEFT = (
    paths.log("job_gone", 1),
    paths.model("model_gone"),
    f"{paths.UPLOADS}/0123abcd",
    f"{paths.UPLOADS}/.tmp-0123abcd",
)
"""Files that no row names."""


@pytest.fixture
def left(service: Service) -> list[str]:
    """Those files, written just now."""
    for name in LEFT:
        path = service.artifacts.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"left")
    return [*LEFT]


def present(service: Service) -> list[str]:
    return [name for name in LEFT if (service.artifacts.root / name).exists()]


def test_all_goes_before_anybody_serves_but_what_has_a_row(service: Service, left: list[str]) -> None:
    kept = service.train()
    service.artifacts.write(paths.log(kept, 1), b"")
    assert present(service) == left
    remove_leftovers(service.store, service.artifacts, ALONE)
    assert present(service) == []
    assert service.artifacts.exists(paths.log(kept, 1))


def test_while_others_serve_what_is_young_stays(service: Service, left: list[str]) -> None:
    remove_leftovers(service.store, service.artifacts, SAFE)
    assert present(service) == left
    long_ago = time.time() - SAFE - 1
    for name in left:
        os.utime(service.artifacts.root / name, (long_ago, long_ago))
    os.utime(service.artifacts.root / paths.directory("job_gone"), (long_ago, long_ago))
    # a receiver holds what it has begun to write
    slow = left[-1]
    with (service.artifacts.root / slow).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        remove_leftovers(service.store, service.artifacts, SAFE)
        assert present(service) == [slow]
    remove_leftovers(service.store, service.artifacts, SAFE)
    assert present(service) == []
