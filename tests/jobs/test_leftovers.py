"""What processes that died have left behind: gone before anybody serves, and later on only what is surely nobody's."""

from __future__ import annotations

import fcntl
import os
import time
from typing import IO

import pytest

from app.files import paths
from app.files.scratch import abandoned, scratch
from app.jobs.leftovers import ALONE, SAFE, remove_leftovers
from app.store.database import DATABASE_NAME
from tests.jobs.service import Service

LEFT = (
    paths.log("job_gone", 1),
    paths.model("model_gone"),
    f"{paths.segment('ds_gone', 1)}/images.npy",
    f"{paths.MODELS}/.tmp-0123abcd",
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
    for folder in (paths.directory("job_gone"), paths.dataset("ds_gone")):
        os.utime(service.artifacts.root / folder, (long_ago, long_ago))
    # a receiver holds what it has begun to write
    slow = left[-1]
    with (service.artifacts.root / slow).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        remove_leftovers(service.store, service.artifacts, SAFE)
        assert present(service) == [slow]
    remove_leftovers(service.store, service.artifacts, SAFE)
    assert present(service) == []


def test_room_that_nobody_works_in_goes_at_once(service: Service) -> None:
    with scratch(service.data_dir) as taken:
        left = taken.with_name("0123abcd")
        left.mkdir()
        # a second name, as a backup gives to each file: it takes nothing of the disk
        before = service.artifacts.bytes()
        os.link(service.data_dir / DATABASE_NAME, left / "0")
        assert service.artifacts.bytes() == before
        remove_leftovers(service.store, service.artifacts, SAFE)
        assert taken.exists()
        assert not left.exists()
    assert abandoned(service.data_dir) == []


def test_what_is_being_written_stays_also_when_nobody_serves(service: Service) -> None:
    """A worker outlives its server, and may be writing while the next one starts."""

    def write(file: IO[bytes]) -> None:
        file.write(b"half")
        file.flush()
        remove_leftovers(service.store, service.artifacts, ALONE)
        file.write(b" and half")

    service.artifacts.write(f"{paths.FEATURES}/a", write)
    assert service.artifacts.local_path(f"{paths.FEATURES}/a").read_bytes() == b"half and half"
