"""Ingestion survives the death of its worker and of its server, and neither leaves anything behind."""

import io
import os
import signal
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from app.cli.launch import ServerProcess
from app.files.locks import read_holder

pytestmark = pytest.mark.slow


def slow_archive() -> bytes:
    """Pictures that take some time to decode, of the same bytes each: seconds of work in a small file."""
    gradient = np.add.outer(np.arange(1800), np.arange(1800)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(gradient).save(buffer, "PNG")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for number in range(40):
            archive.writestr(f"{number % 2}/{number}.png", buffer.getvalue())
    return packed.getvalue()


def upload(http: httpx.Client) -> str:
    answer = http.post(
        "/v1/datasets", files={"file": ("slow.zip", slow_archive())}, data={"duplicates": "keep"}
    )
    assert answer.status_code == 202, answer.text
    return answer.headers["Location"]


@pytest.fixture
def settle(wait_for: Callable[..., Any]) -> Callable[[httpx.Client, str], dict[str, Any]]:
    def wait(http: httpx.Client, location: str) -> dict[str, Any]:
        def settled() -> dict[str, Any] | None:
            dataset = http.get(location).json()
            return dataset if dataset["status"] != "ingesting" else None

        return wait_for(settled, f"the end of {location}")

    return wait


def uploads(process: ServerProcess) -> list[Path]:
    return list((process.data_dir / "uploads").iterdir())


def test_a_killed_worker_starts_again_and_leaves_no_partial_file(
    start: Callable[..., ServerProcess], connect: Callable[..., httpx.Client], wait_for, settle
) -> None:
    process = start()
    with connect(process.start()) as http:
        location = upload(http)
        identifier = location.rpartition("/")[2]
        folder = process.data_dir / "datasets" / identifier
        lock = process.data_dir / "jobs" / identifier.replace("ds_", "job_") / "lock"
        # Well under way: there is a hidden file, and pictures in it.
        wait_for(lambda: any(path.stat().st_size > 0 for path in folder.rglob(".tmp-*")), "a first picture")
        assert http.get(location).json()["status"] == "ingesting"
        assert http.delete(location).status_code == 409
        os.kill(read_holder(lock), signal.SIGKILL)
        assert not list(folder.rglob("*.npy")), "nothing is visible before it is whole"
        dataset = settle(http, location)
        assert dataset["status"] == "ready", dataset
        assert dataset["images"] == 40
        assert dataset["report"]["skipped"] == 0
        assert (lock.parent / "attempt-2.log").exists()
        names = sorted(path.name for path in folder.rglob("*") if path.is_file())
        assert names == ["images.npy", "labels.npy", "name_ends.npy", "names.npy", "splits.npy"]
        assert uploads(process) == []


def test_a_server_that_stops_puts_ingestion_back_and_sweeps_what_nobody_needs(
    start: Callable[..., ServerProcess], connect: Callable[..., httpx.Client], wait_for, settle
) -> None:
    process = start()
    with connect(process.start()) as http:
        location = upload(http)
        folder = process.data_dir / "datasets" / location.rpartition("/")[2]
        wait_for(lambda: list(folder.rglob(".tmp-*")), "the worker")
    process.stop()
    assert len(uploads(process)) == 1
    (process.data_dir / "uploads" / "0123abcd").write_bytes(b"of a server that was killed")
    (process.data_dir / "uploads" / ".tmp-0123abcd").write_bytes(b"half of an upload")
    stray = process.data_dir / "datasets" / "ds_gone" / "segment-0001"
    stray.mkdir(parents=True)
    (stray / "images.npy").write_bytes(b"of a data set that is deleted")
    with connect(process.start()) as http:
        assert len(uploads(process)) == 1
        assert not stray.parent.exists()
        assert settle(http, location)["images"] == 40
        assert uploads(process) == []
