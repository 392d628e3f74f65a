"""Whoever writes a backup or restores one can be killed at any step: what has its final name is whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app.care.archive import ArchiveWriter
from app.care.backup import back_up
from tests.care.installation import at, unpack

ROOT = Path(__file__).parents[2]
WORK = ("repository", "archive", "beside", "inside")


def deaths(work: str, stride: int, tmp_path: Path) -> int:
    """Do some work and die at each of many steps; return at how many."""
    subject = unpack(tmp_path)
    if work in ("beside", "inside"):
        writer = ArchiveWriter(tmp_path / "backup.tar")
        back_up(at(subject), writer)
        writer.close()
        subject = tmp_path / "backup.tar"
    (tmp_path / "room").mkdir()
    command = [sys.executable, "-m", "tests.care.dying", work, str(stride), subject, tmp_path / "room"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_death_at_some_steps(tmp_path: Path) -> None:
    assert deaths("repository", 70, tmp_path) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("work", WORK)
def test_death_at_every_seventh_step(work: str, tmp_path: Path) -> None:
    assert deaths(work, 7, tmp_path) >= 15


@pytest.mark.nightly
@pytest.mark.parametrize("work", WORK)
def test_death_at_every_step(work: str, tmp_path: Path) -> None:
    assert deaths(work, 1, tmp_path) >= 100
