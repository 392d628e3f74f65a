"""`convserve tune`, in a process of its own as a person types it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from app.files.machines import name_of
from engine.machine.machine import Identity, Machine
from tests.machines import machine


def tune(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "app.cli", "tune", "--data-dir", str(root), *words],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )


def figures_of(done: subprocess.CompletedProcess[str]) -> Machine:
    assert done.returncode == 0, done.stderr
    about = json.loads(done.stdout)
    assert about.pop("tuning")["tile_bytes"] > 0
    return Machine.model_validate(about)


@pytest.mark.slow
def test_it_measures_once_and_again_when_asked(tmp_path: Path) -> None:
    first = figures_of(tune(tmp_path, "--json"))
    assert first.identity == Identity.here()
    (kept,) = (tmp_path / "machines").iterdir()
    # what can be told from what is measured
    kept.write_text(machine().model_dump_json())
    assert figures_of(tune(tmp_path, "--json")) == machine()
    assert figures_of(tune(tmp_path, "--json", "--again")) != machine()
    assert Machine.model_validate_json(kept.read_text()) != machine()


def test_it_says_what_was_measured_and_what_follows(tmp_path: Path) -> None:
    name = tmp_path / name_of(Identity.here())
    name.parent.mkdir()
    name.write_text(machine(gain=2.0).model_dump_json())
    done = tune(tmp_path)
    assert done.returncode == 0, done.stderr
    here = Identity.here()
    assert f"{here.processor}, 2 cores" in done.stdout
    assert re.search(r"\(960, 144\) @ \(144, 16\) +60 +120\n", done.stdout)
    assert "A call of NumPy takes 0.65 µs, one of many small products in a call 0.2 µs." in done.stdout
    assert "cut into pieces of up to 1,000,000 multiplications" in done.stdout


def test_figures_that_are_damaged_are_measured_anew(tmp_path: Path) -> None:
    name = tmp_path / name_of(Identity.here())
    name.parent.mkdir()
    name.write_text("{")
    done = tune(tmp_path, "--json")
    assert figures_of(done) == Machine.model_validate_json(name.read_text())
    assert "does not count" in done.stderr


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "machines").write_text("in the way")
    done = tune(tmp_path, "--json")
    assert figures_of(done).identity == Identity.here()
    assert "cannot be kept" in done.stderr


def test_a_plan_says_why(tmp_path: Path) -> None:
    name = tmp_path / name_of(Identity.here())
    name.parent.mkdir()
    name.write_text(machine(transform=0.01).model_dump_json())
    done = tune(tmp_path, "--preset", "resnet-20", "--batch", "4", "--training", "--json")
    assert done.returncode == 0, done.stderr
    steps = {step["step"]: step for step in json.loads(done.stdout)["steps"]}
    block = next(
        name for name in steps if name != "conv2d_1" and steps[name]["computed_by"].startswith("columns")
    )
    assert "the rule would take winograd" in steps[block]["why"]

    shown = tune(tmp_path, "--preset", "lenet-5")
    assert re.search(
        r"^conv2d_1: quartered/1 relu max_pool\n  few filters and a 2x2 pool behind", shown.stdout
    )

    refused = tune(tmp_path, "--preset", "lenet-6")
    assert refused.returncode == 1
    assert "no preset 'lenet-6'" in refused.stderr
    assert "resnet-20" in refused.stderr
