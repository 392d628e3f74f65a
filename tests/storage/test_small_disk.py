"""What is tested with a layer that fails holds on a real file system that is full."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.cli.launch import LaunchError, ServerProcess
from app.files.reserve import BYTES
from app.store import Store
from app.store.database import DATABASE_NAME
from tests.care.installation import run
from tests.conftest import FINISHED, connect
from tests.http.several import WaitFor, pictures, png
from tests.storage.disks import SmallDisk, small_disk
from tests.storage.test_failing_disk import SETTINGS, TRAINING

pytestmark = pytest.mark.slow

SIZE = 64 * 2**20
LARGE = {
    "input_shape": [28, 28, 1],
    "layers": [{"type": "flatten"}, {"type": "dense", "units": 900}, {"type": "dense", "units": 10}],
}
"""Its checkpoints take nine megabytes with Adam."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path, SIZE) as disk:
        yield disk


@pytest.fixture
def server(disk: SmallDisk, tmp_path: Path) -> ServerProcess:
    return ServerProcess(disk.data, tmp_path / "log", SETTINGS | {"MIN_FREE_BYTES": "0"})


def train(client: httpx.Client, **changes: Any) -> str:
    answer = client.post("/v1/training-jobs", json=TRAINING | changes)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def job(client: httpx.Client, job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/v1/training-jobs/{job_id}").json()
    return found


def weights(client: httpx.Client, job_id: str, wait_for: WaitFor) -> bytes:
    ended = wait_for(lambda: (found := job(client, job_id))["status"] in FINISHED and found, "the end")
    assert (ended["status"], ended["attempt"]) == ("succeeded", 1), ended
    return client.get(f"/v1/models/{ended['model_id']}/weights").content


def test_calls_on_a_full_disk(
    disk: SmallDisk, server: ServerProcess, wait_for: WaitFor, ready: Callable[..., Any]
) -> None:
    with server as url, connect(url) as client:
        data_set = client.post("/v1/datasets", files={"file": ("a.zip", pictures(side=100))}).json()["id"]
        ready(client, data_set)
        reserve = disk.data / "reserve"
        wait_for(reserve.exists, "the reserve")
        disk.fill()
        for number in range(30):
            answer = client.post("/v1/datasets", files={"file": ("a.zip", pictures(side=300 + number))})
            assert (answer.status_code, answer.json()["type"]) == (507, "/problems/storage-full")
        assert list((disk.data / "uploads").iterdir()) == []
        wait_for(lambda: client.get("/readyz").status_code == 503, "the end of readiness")
        picture = {"files": ("a.png", png(3, 28))}
        assert client.post("/v1/models/model_example/predict", files=picture).status_code == 200
        assert client.get("/v1/datasets").status_code == 200
        # there is always room to make room
        assert client.delete(f"/v1/datasets/{data_set}").status_code == 204
        assert not reserve.exists()
        assert shutil.disk_usage(disk.data).free > BYTES // 2
        disk.mend()
        wait_for(lambda: client.get("/readyz").status_code == 200, "readiness")
        again = client.post("/v1/datasets", files={"file": ("a.zip", pictures(side=100))}).json()["id"]
        ready(client, again)


def test_training_on_a_full_disk(disk: SmallDisk, server: ServerProcess, wait_for: WaitFor) -> None:
    with server as url, connect(url) as client:
        undisturbed = weights(client, train(client), wait_for)
        disturbed = train(client)
        wait_for(lambda: job(client, disturbed)["progress"]["epoch"] >= 2, "an epoch")
        disk.fill()
        log = f"/v1/training-jobs/{disturbed}/log"
        wait_for(lambda: "goes on later" in client.get(log).text, "its pause")
        disk.mend()
        assert weights(client, disturbed, wait_for) == undisturbed


def test_a_checkpoint_that_is_too_large_for_what_is_left(
    disk: SmallDisk, server: ServerProcess, wait_for: WaitFor
) -> None:
    with server as url, connect(url) as client:
        undisturbed = weights(client, train(client, architecture=LARGE, epochs=2), wait_for)
        disk.fill(left=6 * 2**20)
        disturbed = train(client, architecture=LARGE, epochs=2)
        # the database has room, so that everybody sees what the job waits for
        waits = wait_for(lambda: job(client, disturbed)["waiting_for"], "what it waits for")
        assert waits["storage"] == "full"
        found = job(client, disturbed)
        assert (found["status"], found["attempt"], found["error"]) == ("queued", 0, None)
        tries = client.get(f"/v1/training-jobs/{disturbed}/log").text.count("attempt 1 of training")
        assert tries <= 2, "it is not tried again and again"
        disk.mend()
        assert weights(client, disturbed, wait_for) == undisturbed
        assert not list(disk.data.rglob(".tmp-*"))


def test_a_backup_that_finds_no_room_says_so(disk: SmallDisk, tmp_path: Path) -> None:
    store = Store(disk.data)
    store.migrate()
    store.close()
    disk.fill(left=200_000)  # what a database needs to be opened, and no copy of it
    said = run("backup", tmp_path / "backups", "--data-dir", disk.data, status=1)
    assert "full" in said
    assert "Two copies of it need room there" in said
    disk.mend()
    run("backup", tmp_path / "backups", "--data-dir", disk.data)


def test_a_backup_of_what_lies_on_a_full_disk_says_what_is_full_and_what_to_do(
    disk: SmallDisk, server: ServerProcess, tmp_path: Path, wait_for: WaitFor
) -> None:
    with server:
        wait_for((disk.data / "reserve").exists, "the reserve")
    disk.fill()
    said = run("backup", tmp_path / "backups", "--data-dir", disk.data, status=1)
    assert f"the disk of {disk.data} is full" in said
    assert f"{disk.data}/reserve may go" in said
    (disk.data / "reserve").unlink()
    run("backup", tmp_path / "backups", "--data-dir", disk.data)


def test_a_backup_to_a_full_disk_says_so(disk: SmallDisk, tmp_path: Path) -> None:
    store = Store(tmp_path / "data")
    store.migrate()
    store.close()
    target = disk.data / "backups"
    run("backup", target, "--data-dir", tmp_path / "data")
    disk.fill()
    with closing(sqlite3.connect(tmp_path / "data" / DATABASE_NAME)) as database, database:
        database.execute("PRAGMA user_version = 7")
    said = run("backup", target, "--data-dir", tmp_path / "data", status=1)
    assert f"the disk of {target} is full" in said
    assert "make room there" in said
    disk.mend()
    run("backup", target, "--data-dir", tmp_path / "data")


def test_a_start_on_a_file_system_that_is_read_only(disk: SmallDisk, server: ServerProcess) -> None:
    with server:
        pass
    subprocess.run(["mount", "-o", "remount,ro", disk.data], check=True)
    try:
        with pytest.raises(LaunchError, match="status 1") as caught:
            server.start()
    finally:
        subprocess.run(["mount", "-o", "remount,rw", disk.data], check=True)
    assert "Read-only file system. Make it writable" in str(caught.value)
    assert "Traceback" not in str(caught.value)
    with server as url, connect(url) as client:
        assert client.get("/readyz").status_code == 200
