"""The demonstration, whole."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

DEMO = [sys.executable, "-P", "-m", "app.cli", "demo"]


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


def services(folder: Path) -> str:
    """Return the processes that have something to do with a directory."""
    listed = subprocess.run(["ps", "-A", "-o", "pid,args"], capture_output=True, text=True, check=True)
    return "\n".join(line for line in listed.stdout.splitlines() if str(folder) in line)


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
    assert services(tmp_path) == ""


def test_too_little_training_fails_the_demo(surroundings: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        [*DEMO, "--epochs", "1"], env=surroundings, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 1
    assert "Failed: the test accuracy is below 97.0 %" in done.stdout
    assert list(tmp_path.iterdir()) == []
    assert services(tmp_path) == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_ends_the_demo_ends_its_service(
    number: signal.Signals, surroundings: dict[str, str], tmp_path: Path
) -> None:
    demo = subprocess.Popen(
        DEMO, env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert demo.stdout is not None
    for line in demo.stdout:
        if line.startswith("Training on"):
            break
    # Into the training itself.
    time.sleep(2)
    assert services(tmp_path) != ""
    demo.send_signal(number)
    rest = demo.communicate(timeout=120)[0]
    assert demo.returncode not in (0, -number)
    assert "Traceback" not in rest
    assert services(tmp_path) == ""
    assert list(tmp_path.iterdir()) == []
