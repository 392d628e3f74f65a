"""The demonstration, whole."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.processes import running

pytestmark = pytest.mark.slow

DEMO = [sys.executable, "-P", "-m", "app.cli.main", "demo"]


@pytest.fixture
def surroundings(tmp_path: Path) -> dict[str, str]:
    """An environment whose temporary files can be looked at, with settings that must not get in the way."""
    return {
        **os.environ,
        "TMPDIR": str(tmp_path),
        "CONVSERVE_DATA_DIR": str(tmp_path / "not-this-one"),
        "CONVSERVE_API_KEY": "not-for-the-demo",
        "PYTHONUNBUFFERED": "1",
    }


def descendants(pid: int) -> dict[int, str]:
    """Return the children of a process, theirs, and so on."""
    processes = running()
    found: dict[int, str] = {}
    while new := {
        each.pid: each.command
        for each in processes
        if (each.parent == pid or each.parent in found) and each.pid not in found
    }:
        found |= new
    return found


def services(folder: Path) -> list[str]:
    """Return the processes that were told of a directory."""
    return [each.command for each in running() if str(folder) in each.command]


def test_the_demo_shows_the_whole_way(surroundings: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(DEMO, env=surroundings, capture_output=True, text=True, timeout=600, check=False)
    shown = done.stdout
    assert done.returncode == 0, shown + done.stderr
    assert re.search(r"total\W+10\W+61,706\W", shown)
    assert re.search(
        r"^epoch \d+/\d+  step \d+/\d+  [\d,]+ images/s  ETA \d+:\d\d  train loss", shown, re.MULTILINE
    )
    assert re.search(
        r"^epoch 1: train loss [\d.]+, accuracy [\d.]+ %; dev loss [\d.]+, accuracy", shown, re.MULTILINE
    )
    (accuracy,) = re.findall(r"^test accuracy: (\d+\.\d) %$", shown, re.MULTILINE)
    assert float(accuracy) >= 97
    rows = re.findall(r"digit-\d+\.png\W+(\d)\W+(\d)\W+(\d+\.\d) %", shown)
    assert len(rows) == 10
    assert sum(true == predicted for true, predicted, _ in rows) >= 8
    assert shown.endswith("The service has stopped.\n")
    assert "\x1b" not in shown
    assert list(tmp_path.iterdir()) == []
    assert services(tmp_path) == []


def test_too_little_training_fails_the_demo(surroundings: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        [*DEMO, "--epochs", "1"], env=surroundings, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 1
    assert "Failed: the test accuracy is below 97.0 %" in done.stdout
    assert list(tmp_path.iterdir()) == []
    assert services(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_ends_the_demo_ends_its_service(
    number: signal.Signals,
    surroundings: dict[str, str],
    tmp_path: Path,
    begin: Callable[..., subprocess.Popen[str]],
) -> None:
    demo = begin(DEMO, env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert demo.stdout is not None
    for line in demo.stdout:
        if line.startswith("Training on"):
            break
    limit = time.monotonic() + 60
    while "app.jobs.work.worker" not in " ".join((started := descendants(demo.pid)).values()):
        assert time.monotonic() < limit, started
        time.sleep(0.1)
    assert len(services(tmp_path)) == 1
    demo.send_signal(number)
    rest = demo.communicate(timeout=120)[0]
    assert demo.returncode not in (0, -number)
    assert "Traceback" not in rest
    assert set(started).isdisjoint(each.pid for each in running())
    assert list(tmp_path.iterdir()) == []
