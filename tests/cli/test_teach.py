"""`convserve teach`: from a folder of class folders to a model that is served."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from app.client import Client
from app.files.locks import is_locked
from app.jobs.accept.rules import picture_side
from tests.cli.conftest import Run
from tests.crops import SIDE, crops


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders with a few parts of photos, and what else lies in folders."""
    folder = tmp_path_factory.mktemp("pictures") / "things"
    for photo in ("chelsea.jpg", "coffee.jpg", "rocket.jpg"):
        crops(folder / photo.removesuffix(".jpg"), photo, 6)
    (folder / "notes.txt").write_text("Three things.")
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "thumbnail.jpg").write_bytes(b"none")
    return folder


def test_a_folder_becomes_a_model_that_is_served(run: Run, server: str, things: Path) -> None:
    done = run("teach", str(things), "--name", "three things")
    assert done.returncode == 0, done.stdout + done.stderr
    shown = done.stdout
    assert "It is served" in shown
    assert re.match(r"18 pictures of 3 classes in .*: chelsea 6, coffee 6, rocket 6\n", shown)
    assert "1 other files are left out" in shown
    assert f"image_size: 96, 96 (the pictures are about {SIDE} pixels" in shown
    assert re.search(r"^epoch 1: train loss", shown, re.MULTILINE)
    assert len(re.findall(r"^epoch \d+:", shown, re.MULTILINE)) <= 21
    assert re.search(r"^\d of \d test pictures are recognised", shown, re.MULTILINE)
    assert "initial_weights: mobilenet-v2-imagenet (a network that" in shown
    (job,) = re.findall(r"^training job (\S+)$", shown, re.MULTILINE)
    assert shown.index(f"training job {job}") < shown.index(") is ready: 18 pictures")
    assert "test pictures are recognised" in run("jobs", "report", job).stdout
    assert '"verdict"' in run("jobs", "report", job, "--json").stdout
    (address,) = re.findall(r"curl -F files=@picture.jpg (\S+)$", shown, re.MULTILINE)
    with (things / "coffee" / "0.jpg").open("rb") as picture:
        answer = httpx.post(address, files={"files": picture})
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"][0]["label"] == "coffee"
    with Client(server) as client:
        model = client.models.get("three things")
        assert address == f"{server}/v1/models/{model.id}/predict"
        (dataset,) = client.datasets.list(name="three things")
        assert dataset.images == 18


def test_folders_that_say_nothing_are_refused(run: Run, tmp_path: Path) -> None:
    def refusal(folder: Path) -> str:
        done = run("teach", str(folder))
        assert (done.returncode, done.stdout) == (1, "")
        return " ".join(done.stderr.split())

    assert "there are no pictures" in refusal(tmp_path)
    assert "it holds no file at all" in refusal(tmp_path)
    (tmp_path / "list.csv").write_text("a,b")
    assert "it holds only list.csv" in refusal(tmp_path)
    crops(tmp_path / "flat", "coffee.jpg", 2)
    assert "the 2 pictures in" in refusal(tmp_path / "flat")
    assert "Hint: make a folder for each thing" in refusal(tmp_path / "flat")
    assert "there is only one class" in refusal(tmp_path)
    (tmp_path / "flat" / "0.jpg").write_bytes(b"no picture")
    (tmp_path / "flat" / "1.jpg").unlink()
    assert "no file in" in refusal(tmp_path)
    assert run("teach", str(tmp_path / "absent")).returncode == 2


@pytest.mark.parametrize(
    ("pictures", "side", "expected"),
    [
        (100, 4000, 224),
        (100, 28, 96),
        (100, 100, 128),
        (1000, 4000, 160),
        (1500, 4000, 128),
        (10_000, 4000, 96),
    ],
)
def test_pictures_are_as_large_as_time_allows(pictures: int, side: int, expected: int) -> None:
    size, reason = picture_side(pictures, side)
    assert size == expected
    assert reason


@pytest.mark.slow
def test_it_starts_a_service_and_ends_it(
    things: Path, tmp_path: Path, begin: Callable[..., subprocess.Popen[str]]
) -> None:
    data = tmp_path / "data"
    variables = {
        **os.environ,
        "CONVSERVE_DATA_DIR": str(data),
        "CONVSERVE_PORT": "0",
        "PYTHONUNBUFFERED": "1",
    }
    command = [sys.executable, "-P", "-m", "app.cli.main", "teach", str(things)]
    first = begin(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert first.stdout is not None
    shown = ""
    for line in first.stdout:
        shown += line
        if "until Ctrl-C" in line:
            break
    assert "It is served" in shown, shown
    # who teaches more meanwhile uses the same service
    second = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=300, check=False)
    assert second.returncode == 0, second.stdout + second.stderr
    assert "Using the service at" in second.stdout
    assert is_locked(data / "server.lock")
    first.send_signal(signal.SIGINT)
    rest = first.communicate(timeout=60)[0]
    assert first.returncode == 0, rest
    assert "The service stops." in rest
    assert not is_locked(data / "server.lock")
    third = subprocess.run(
        [*command, "--no-serve"], env=variables, capture_output=True, text=True, timeout=300, check=False
    )
    assert third.returncode == 0, third.stdout + third.stderr
    assert "It is served" not in third.stdout
    assert "To serve it: convserve serve" in third.stdout
