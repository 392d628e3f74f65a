"""A server with something of everything, and a life that goes on while others look after it."""

from __future__ import annotations

import io
import itertools
import json
import sys
import tarfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import httpx

from app.care.restore import choose, open_source, restore
from app.cli.main import main
from app.settings import Settings
from tests.fixtures.make_data_directory import shade, train, upload, wait

FIXTURE = Path(__file__).parents[1] / "fixtures" / "data-directory-1.tar.xz"
FINISHED = {"succeeded", "failed", "cancelled"}
SETTINGS = {"CHECKPOINT_SECONDS": "0.05", "CORES": "1", "BUILTIN_MODELS": "false"}


def command(*arguments: str | Path) -> tuple[int, str, str]:
    """Run a command in this process; return its status, what it prints, and what it says of errors."""
    out, errors, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["convserve", *map(str, arguments)]
    try:
        with redirect_stdout(out), redirect_stderr(errors):
            main()
        status = 0
    except SystemExit as end:
        status = int(end.code or 0)
    finally:
        sys.argv = before
    return status, out.getvalue(), errors.getvalue()


def run(*arguments: str | Path, status: int = 0) -> str:
    """Run a command that should end with a status, and return all that it says."""
    ended_with, out, errors = command(*arguments)
    assert ended_with == status, out + errors
    return out + errors


def as_json(*arguments: str | Path, status: int = 0) -> Any:
    """Run a command with --json that should end with a status, and return what it prints."""
    ended_with, out, errors = command(*arguments, "--json")
    assert ended_with == status, out + errors
    return json.loads(out)


def ended(http: httpx.Client, job_id: str) -> dict[str, Any]:
    """Wait for the end of a training job."""

    def look() -> dict[str, Any] | None:
        job: dict[str, Any] = http.get(f"/v1/training-jobs/{job_id}").json()
        return job if job["status"] in FINISHED else None

    job: dict[str, Any] = wait(look)
    assert job["status"] == "succeeded", job
    return job


def predicted(http: httpx.Client, model: str) -> Any:
    """Return what a model says of a picture."""
    answer = http.post(f"/v1/models/{model}/predict", files={"files": ("light.png", shade(210, 9))})
    answer.raise_for_status()
    return answer.json()["data"]


def sha256(http: httpx.Client, model: str) -> str:
    """Return the checksum of the file of a model."""
    found: str = http.get(f"/v1/models/{model}").json()["sha256"]
    return found


def point(http: httpx.Client, alias: str, version: int) -> None:
    """Let an alias stand for a version."""
    name, _, word = alias.partition("@")
    address = f"/v1/models/{name}/aliases/{word}"
    http.put(address, json={"model_id": f"{name}@{version}"}).raise_for_status()


def fill(http: httpx.Client) -> str:
    """Make a data set, and an alias of the model that is built in; return the data set."""
    point(http, "lenet-5-digits@live", 1)
    dataset: str = upload(http, "shades", "PNG", image_size="12", channels="1")["id"]
    return dataset


def train_two(http: httpx.Client, dataset: str) -> None:
    """Make two models of one name, with an alias of the first."""
    jobs = [train(http, dataset, [12, 12, 1], epochs=1, seed=seed, name="shades") for seed in (1, 2)]
    for job in jobs:
        ended(http, job)
    point(http, "shades@live", 1)


@contextmanager
def life(url: str, models: Sequence[str]) -> Iterator[None]:
    """Upload data sets, move an alias, evaluate if there are several models, and delete what was made, while open."""
    stop = threading.Event()
    faults: list[BaseException] = []

    def live() -> None:
        try:
            with httpx.Client(base_url=url, timeout=60, trust_env=False) as http:
                for model in itertools.cycle(models):
                    if stop.is_set():
                        return
                    name, _, version = model.partition("@")
                    point(http, f"{name}@live", int(version))
                    _come_and_go(http, model if len(models) > 1 else None)
        except BaseException as error:
            faults.append(error)

    thread = threading.Thread(target=live)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert not faults, faults


def _come_and_go(http: httpx.Client, model: str | None) -> None:
    """Make a data set, and an evaluation of a model if one is given, and delete both."""
    made = upload(http, "passing", "PNG", image_size="12", channels="1")["id"]
    if model is not None:
        _evaluate(http, model, made)
    http.delete(f"/v1/datasets/{made}").raise_for_status()


def _evaluate(http: httpx.Client, model: str, dataset: str) -> None:
    """Make an evaluation, and delete it."""
    started = http.post("/v1/evaluations", json={"model": model, "dataset": dataset, "split": "dev"})
    started.raise_for_status()
    location = f"/v1/evaluations/{started.json()['id']}"
    wait(lambda: http.get(location).json()["status"] in FINISHED)
    http.delete(location).raise_for_status()


def unpack(folder: Path) -> Path:
    """Unpack the data directory of the first version, and return it."""
    with tarfile.open(FIXTURE) as archive:
        archive.extractall(folder, filter="data")
    return folder / "data"


def restored(source: Path, to: Path) -> Path:
    """Restore the newest backup of a directory or a file, and return where."""
    opened = open_source(source)
    restore(opened, opened.manifest(choose(opened, None)), to)
    return to


def at(data_dir: Path) -> Settings:
    """Return the settings of an installation that has all of it in its data directory."""
    return Settings(data_dir=data_dir)
