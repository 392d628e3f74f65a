"""Each format's pictures that are cheap to send and dear to decode are refused before they cost anything."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.pictures.headers.read import FORMATS

_MEASURE = """
import json, sys, time
from pathlib import Path
from app.api.pictures import PictureSpec
from app.errors import Invalid, TooLarge
from app.pictures.bounds import Bounds
from app.pictures.decode import decode
from tests.pictures.hostile_pictures import hostile_pictures, saved

def memory(name):
    text = Path("/proc/self/status").read_text() if Path("/proc/self/status").exists() else ""
    return next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith(name)), 0)

spec = PictureSpec(image_shape=(32, 32, 3))
for kind in {kind for kind, _, _ in hostile_pictures()}:
    decode(saved(kind), spec, Bounds(1000))
for kind, name, data in hostile_pictures():
    if Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")
    before, began = memory("VmRSS"), time.process_time()
    try:
        decode(data, spec, Bounds(25_000_000))
        said = None
    except (Invalid, TooLarge) as error:
        said = error.detail
    except BaseException as error:
        said = None
        name += f": {error!r}"
    print(json.dumps([kind, name, said, time.process_time() - began, memory("VmHWM") - before]), flush=True)
"""


@pytest.fixture(scope="module")
def outcomes() -> list[list[Any]]:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE], cwd=root, capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_all_are_refused_in_words(outcomes: list[list[Any]]) -> None:
    assert {kind for kind, *_ in outcomes} == set(FORMATS)
    assert not [(kind, name) for kind, name, said, *_ in outcomes if not said]


def test_a_refusal_takes_less_than_two_seconds_and_64_mib(outcomes: list[list[Any]]) -> None:
    assert not [outcome for outcome in outcomes if outcome[3] > 2 or outcome[4] > 64 << 20]
