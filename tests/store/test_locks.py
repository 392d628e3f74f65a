"""Locks between processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.files.locks import FileLock, is_locked, read_holder, read_holders, read_mark

ROOT = Path(__file__).parents[2]

HOLD = """
import sys, time
from pathlib import Path
from app.files.locks import FileLock
lock = FileLock(Path(sys.argv[1]))
assert lock.acquire()
lock.write_holder()
print("held", flush=True)
time.sleep(60)
"""

ADOPT = """
import sys
from pathlib import Path
from app.files.locks import FileLock
FileLock.adopt(Path(sys.argv[1]), int(sys.argv[2])).write_holder()
print("held", flush=True)
sys.stdin.read()
"""


def test_excludes_within_a_process(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_locked(path)
    with FileLock(path) as first:
        assert first.acquire()
        assert first.acquire(), "who has it, has it"
        assert is_locked(path)
        second = FileLock(path)
        assert not second.acquire(timeout=0.1)
        assert not second.held
    assert not is_locked(path)
    assert second.acquire()
    second.release()


def test_a_mark_stays_until_the_next_who_takes_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert read_mark(path) is None
    with FileLock(path) as lock:
        lock.acquire()
        lock.write_holder(17)
        assert read_mark(path) is None
        size = path.stat().st_size
        lock.mark("full")
        assert read_mark(path) == "full"
        assert read_holders(path) == [os.getpid(), 17]
    assert read_mark(path) == "full"
    with FileLock(path) as lock:
        lock.acquire()
        assert (read_mark(path), read_holder(path)) == (None, None)
        assert path.stat().st_size >= size, "its block is not given away"
        lock.write_holder()
        assert path.read_text() == f"{os.getpid()}\n"


def test_looking_does_not_disturb(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with FileLock(path) as lock:
        lock.acquire()
        lock.write_holder()
        assert is_locked(path)
        assert read_holder(path) == os.getpid()
    assert not is_locked(path)
    assert not is_locked(path)


def test_is_let_go_when_the_holder_is_killed(
    tmp_path: Path, begin: Callable[..., subprocess.Popen[bytes]]
) -> None:
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLD, str(path)]
    process = begin(command, stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    assert is_locked(path)
    assert read_holder(path) == process.pid
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not is_locked(path)
    with FileLock(path) as lock:
        assert lock.acquire()
        assert read_holder(path) is None, "the dead holder's id is not taken for ours"


def test_is_handed_to_a_child(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with FileLock(path) as lock:
        assert lock.acquire()
        command = [sys.executable, "-c", ADOPT, str(path), str(lock.fileno())]
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[lock.fileno()], cwd=ROOT
        )
    with child:
        assert is_locked(path), "held from before the child's first instruction"
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        assert read_holder(path) == child.pid
        child.communicate()
    assert not is_locked(path)


def test_a_lock_that_is_not_held_cannot_be_handed_on(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not held"):
        FileLock(tmp_path / "lock").fileno()


@pytest.mark.parametrize("content", ["", "12a", "é", "-1"])
def test_a_damaged_holder_is_nobody(tmp_path: Path, content: str) -> None:
    path = tmp_path / "lock"
    path.write_text(content, encoding="utf-8")
    assert read_holder(path) is None
