"""What the system says about memory, read from files as it writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.files.memory import available_memory, count_kills, kill_counter

EVENTS = "low 0\nhigh 12\nmax 345\noom 3\noom_kill {}\noom_group_kill 0\n"
CONTROL = "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="ascii")
    return path


@pytest.mark.parametrize("text", [EVENTS, CONTROL], ids=["version-2", "version-1"])
def test_kills_are_counted(tmp_path: Path, text: str) -> None:
    counter = tmp_path / "counter"
    assert count_kills(counter) == 0
    write(counter, text.format(0))
    assert count_kills(counter) == 0
    write(counter, text.format(17))
    assert count_kills(counter) == 17


def test_where_the_system_says_nothing_nothing_was_killed(tmp_path: Path) -> None:
    assert count_kills(None) == 0
    assert kill_counter(tmp_path / "absent", tmp_path) is None


def test_version_2(tmp_path: Path) -> None:
    own = write(tmp_path / "own", "0::/service/worker\n")
    root = tmp_path / "groups"
    write(root / "service/memory.max", "1000000\n")
    write(root / "service/worker/memory.max", "max\n")
    events = write(root / "service/worker/memory.events", EVENTS.format(1))
    write(root / "service/memory.events", EVENTS.format(5))
    assert available_memory(own, root) == 1_000_000
    assert kill_counter(own, root) == events


def test_version_1_in_a_container_that_has_another_path_outside(tmp_path: Path) -> None:
    own = write(tmp_path / "own", "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n0::/\n")
    root = tmp_path / "groups"
    write(root / "memory/memory.limit_in_bytes", "2000000\n")
    control = write(root / "memory/memory.oom_control", CONTROL.format(2))
    assert available_memory(own, root) == 2_000_000
    assert kill_counter(own, root) == control


def test_no_group_gives_more_than_the_machine_has(tmp_path: Path) -> None:
    own = write(tmp_path / "own", "4:memory:/\n")
    write(tmp_path / "memory/memory.limit_in_bytes", "9223372036854771712\n")
    assert available_memory(own, tmp_path) == available_memory(tmp_path / "absent", tmp_path)
