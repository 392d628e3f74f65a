"""It does not matter how the tests were started, and what is not run in `make test` is run elsewhere."""

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WAIT = "import time; print('ready', flush=True); time.sleep(600)"


def test_what_a_test_starts_can_be_interrupted(begin: Callable[..., subprocess.Popen[str]]) -> None:
    child = begin([sys.executable, "-c", WAIT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGINT)
    assert child.wait(timeout=60) == -signal.SIGINT


def test_also_in_the_background_where_interrupts_are_ignored() -> None:
    pytest_ = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    test = f"{__file__}::{test_what_a_test_starts_can_be_interrupted.__name__}"
    # What `nohup make test &` does to its children.
    run = subprocess.run(
        ["sh", "-c", "trap '' INT HUP; \"$@\"", "sh", *pytest_, test],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stdout


def test_every_test_is_run_by_one_command(pytestconfig: pytest.Config) -> None:
    names = {line.partition(":")[0] for line in pytestconfig.getini("markers")}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipes = dict(
        re.findall(r"^(test[a-z-]*|nightly):.*\n\t@\$\(PY\) -m pytest.* -m (\"[^\"]+\"|\w+)", makefile, re.M)
    )
    assert recipes == {
        "test": '"not slow and not nightly and not web and not cluster"',
        "test-slow": '"slow and not nightly and not cluster"',
        "test-cluster": "cluster",
        "test-web": "web",
        "nightly": "nightly",
    }
    assert {"slow", "web", "nightly", "cluster"} <= names
    ran = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.findall(r"^\s*make (\S+)$", ran, re.M)[:5] == ["lint", "types", "test", "test-slow", "test-web"]
