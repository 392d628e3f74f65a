"""The tour of the README, taken as it is written."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = "http://127.0.0.1:8000"
README = (ROOT / "README.md").read_text(encoding="utf-8")

# A shell block, and the answer that may follow it.
BLOCKS = re.findall(r"```sh\n(.*?)```(?:\n\n```json\n(.*?)```)?", README, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with what a reader would have."""
    made = tmp_path_factory.mktemp("reader")
    with zipfile.ZipFile(made / "pictures.zip", "w") as archive:
        for colour in ("red", "blue"):
            for number in range(6):
                picture = made / "picture.png"
                Image.new("RGB", (20 + number, 30), colour).save(picture)
                archive.write(picture, f"{colour}/{number}.png")
    return made


def matches(expected: Any, given: Any) -> bool:
    """Tell whether all that is expected is there; numbers may differ a little."""
    if isinstance(expected, dict):
        return isinstance(given, dict) and all(
            key in given and matches(value, given[key]) for key, value in expected.items()
        )
    if isinstance(expected, list):
        return isinstance(given, list) and len(expected) == len(given) and all(map(matches, expected, given))
    if isinstance(expected, float):
        return bool(given == pytest.approx(expected, abs=0.02))
    return bool(expected == given)


def shell(script: str, folder: Path, server: str) -> str:
    done = subprocess.run(
        ["/bin/sh", "-ec", script.replace(ADDRESS, server)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{script}{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="the tour needs curl")
def test_the_tour_with_curl(folder: Path, server: str) -> None:
    assert len(BLOCKS) > 5
    for script, answer in BLOCKS:
        if answer:
            given = json.loads(shell(script, folder, server))
            assert matches(json.loads(answer), given), f"{script}{json.dumps(given, indent=1)}"
        else:
            shell(script.replace("curl -s", "curl -sS --fail"), folder, server)


def test_the_python_client(folder: Path, server: str) -> None:
    (script,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    Image.new("L", (28, 28)).save(folder / "digit.png")
    done = subprocess.run(
        [sys.executable, "-c", script.replace(ADDRESS, server)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-2] == "succeeded 1.0"
    assert re.fullmatch(r"\d 0\.\d+", lines[-1])
