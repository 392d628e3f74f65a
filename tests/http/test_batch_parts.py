"""Batch predictions that are cut into parts: the same bytes as without, whatever happens to the parts meanwhile."""

import io
import json
import os
import signal
import sqlite3
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from app.care.holdings import Listing, holdings
from app.cli.launch import ServerProcess
from app.files.artifacts import LocalArtifacts
from app.files.locks import is_locked, read_holder
from app.store import Store
from tests.http.receiver import SECRET, receiving, verify
from tests.http.several import ended

pytestmark = pytest.mark.slow

BATCHES = "/v1/batch-predictions"
IMAGES = 201
PARTS = 4
"""Of 64 pictures each, which a model looks at together; the last of fewer."""
SETTINGS = {
    "MAX_JOBS": "2",
    "BATCH_PART_IMAGES": "50",
    "CHECKPOINT_SECONDS": "0.1",
    "HEARTBEAT_TIMEOUT": "600",
}

Connect = Callable[..., httpx.Client]
Start = Callable[..., ServerProcess]
WaitFor = Callable[..., Any]


@pytest.fixture(scope="module")
def archive() -> bytes:
    """Pictures of which each takes a while to decode, no two alike; one in the third part is damaged."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for number in range(IMAGES):
            shades = np.full((1600, 1600), number, np.uint8)
            shades[200:1400, 700 : 700 + 4 * number] = 255 - number
            picture = io.BytesIO()
            Image.fromarray(shades).save(picture, "PNG")
            file.writestr(f"{number:03}.png", b"no picture" if number == 140 else picture.getvalue())
    return buffer.getvalue()


@pytest.fixture(scope="module")
def whole(
    archive: bytes, tmp_path_factory: pytest.TempPathFactory, connect: Connect, wait_for: WaitFor
) -> Iterator[bytes]:
    """The table of a batch prediction without parts, on a server that is otherwise the same."""
    folder = tmp_path_factory.mktemp("whole")
    service = ServerProcess(folder / "data", folder / "log", SETTINGS | {"BATCH_PART_IMAGES": "0"})
    with connect(service.start()) as http:
        address = submit(http, archive)
        assert ended(http, address, wait_for)["status"] == "succeeded"
        assert rows(service, "SELECT id FROM jobs WHERE kind = 'batch_part'") == []
        yield http.get(f"{address}/result").content
    service.stop()


def submit(http: httpx.Client, archive: bytes, **fields: str) -> str:
    answer = http.post(BATCHES, data={"model": "model_example", **fields}, files={"file": ("a.zip", archive)})
    assert answer.status_code == 202, answer.text
    return str(answer.headers["location"])


def rows(service: ServerProcess, query: str, *values: str) -> list[Any]:
    with closing(sqlite3.connect(service.data_dir / "convserve.sqlite3")) as connection:
        return connection.execute(query, values).fetchall()


def parts(service: ServerProcess, address: str) -> list[tuple[str, str, int]]:
    """Return the ids, states and attempts of the parts."""
    query = "SELECT id, status, attempt FROM jobs WHERE part_of = ? ORDER BY id"
    return rows(service, query, address.rpartition("/")[2])


def saved(service: ServerProcess) -> list[Path]:
    """Return the files with rows of parts."""
    return list(service.data_dir.glob("jobs/part_*/*.rows"))


def holders(service: ServerProcess) -> dict[Path, int]:
    """Return the processes that work on parts."""
    found = {lock: read_holder(lock) for lock in service.data_dir.glob("jobs/part_*/lock") if is_locked(lock)}
    return {lock: pid for lock, pid in found.items() if pid is not None}


def check_whole(
    service: ServerProcess, http: httpx.Client, address: str, whole: bytes, wait_for: WaitFor
) -> None:
    batch = ended(http, address, wait_for)
    assert batch["status"] == "succeeded", batch
    assert batch["progress"] == {"images": IMAGES, "failed": 1, "of": IMAGES, "fraction": 1.0}
    assert http.get(f"{address}/result").content == whole
    assert [status for _, status, _ in parts(service, address)] == ["succeeded"] * PARTS
    assert list((service.data_dir / "uploads").glob("*")) == []


def test_the_table_is_that_of_one_job_and_nobody_sees_the_parts(
    start: Start, connect: Connect, wait_for: WaitFor, archive: bytes, whole: bytes
) -> None:
    service = start(**SETTINGS, WEBHOOK_SECRET=SECRET, WEBHOOK_PRIVATE="true")
    with receiving() as receiver, connect(service.start()) as http:
        address = submit(http, archive, webhook=receiver.url)
        wait_for(lambda: len(holders(service)) == 2, "two parts at once")
        seen = http.get("/v1/system").json()
        assert "batch_part" not in json.dumps(seen)
        part = parts(service, address)[0][0]
        for there in (BATCHES, "/v1/training-jobs", "/v1/evaluations"):
            assert http.get(f"{there}/{part}").status_code == 404
            assert part not in http.get(there).text
        check_whole(service, http, address, whole, wait_for)
        wait_for(lambda: not saved(service), "the removal of the rows")
        assert b"140.png,,,," in whole
        lines = [line.split(b",")[0] for line in whole.splitlines()[1:]]
        assert lines == sorted(lines)
        assert len(lines) == IMAGES
        (message,) = wait_for(lambda: receiver.got, "the message of its end")
        verify(*message[1:])
        assert json.loads(message[2])["type"] == "batch_prediction.succeeded"
        kinds = rows(service, "SELECT DISTINCT job_id FROM job_events WHERE job_id LIKE 'part%'")
        assert kinds == []
        told = [
            line for line in http.get(f"{address}/events").text.splitlines() if line.startswith("event: ")
        ]
        assert told == [*["event: status"] * 3, "event: end"]
        assert http.delete(address).status_code == 204
        assert parts(service, address) == []
        assert list(service.data_dir.glob("jobs/part_*")) == []
    service.stop()


@pytest.mark.parametrize("who", ["parts", "whole"])
def test_who_dies_is_tried_again_and_the_others_do_not_notice(
    who: str, start: Start, connect: Connect, wait_for: WaitFor, archive: bytes, whole: bytes
) -> None:
    service = start(**SETTINGS)
    with connect(service.start()) as http:
        address = submit(http, archive)
        wait_for(lambda: saved(service), "the first rows")
        if who == "parts":
            killed = wait_for(lambda: holders(service), "a part at work")
        else:
            lock = service.data_dir / "jobs" / address.rpartition("/")[2] / "lock"
            killed = {lock: read_holder(lock)}
        for pid in killed.values():
            os.kill(pid, signal.SIGKILL)
        check_whole(service, http, address, whole, wait_for)
        attempts = {name: attempt for name, _, attempt in parts(service, address)}
        batch = http.get(address).json()
        attempts[batch["id"]] = batch["attempt"]
        died = {name for name, attempt in attempts.items() if attempt == 2}
        assert died == {lock.parent.name for lock in killed}
    service.stop()


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_it_goes_on_with_the_next_server(
    how: str, start: Start, connect: Connect, wait_for: WaitFor, archive: bytes, whole: bytes
) -> None:
    service = start(**SETTINGS)
    killed: set[str] = set()
    with connect(service.start()) as http:
        address = submit(http, archive)
        wait_for(lambda: saved(service) and holders(service), "the first rows, and a part at work")
        if how == "stop":
            service.stop()
            states = [status for _, status, _ in parts(service, address)]
            assert "running" not in states
            assert "cancelled" not in states
            # what a backup takes, and a check looks for
            with closing(Store(service.data_dir)) as store:
                held = holdings(store, Listing.of(LocalArtifacts(service.data_dir))).files
            assert {str(path.relative_to(service.data_dir)) for path in saved(service)} <= held.keys()
        else:
            service.kill()
            for lock in [*holders(service), service.data_dir / "jobs" / address.rpartition("/")[2] / "lock"]:
                pid = read_holder(lock)
                if pid is not None and is_locked(lock):
                    os.kill(pid, signal.SIGKILL)
                    killed.add(lock.parent.name)
            assert killed
    with connect(service.start()) as http:
        check_whole(service, http, address, whole, wait_for)
        batch = http.get(address).json()
        attempts = {name: attempt for name, _, attempt in parts(service, address)}
        attempts[batch["id"]] = batch["attempt"]
        died = {name for name, attempt in attempts.items() if attempt == 2}
        assert not killed or died & killed
    service.stop()


def test_its_parts_end_with_it(start: Start, connect: Connect, wait_for: WaitFor, archive: bytes) -> None:
    service = start(**SETTINGS)
    with connect(service.start()) as http:
        address, waiting = submit(http, archive), submit(http, archive)
        wait_for(lambda: len(holders(service)) == 2, "two parts at once")
        assert http.post(f"{waiting}/cancel").json()["status"] == "cancelled"
        assert http.post(f"{address}/cancel").status_code == 202
        batch = ended(http, address, wait_for)
        assert batch["status"] == "cancelled"
        over = {"cancelled", "succeeded"}
        wait_for(lambda: {status for _, status, _ in parts(service, address)} <= over, "the end of the parts")
        assert parts(service, address)[-1][1] == "cancelled"
        wait_for(lambda: not holders(service), "the end of their workers")
        assert list((service.data_dir / "uploads").glob("*")) == []
        assert http.delete(address).status_code == 204
        assert list(service.data_dir.glob("jobs/part_*")) == []
    service.stop()


def test_it_fails_with_the_reason_of_a_part(
    start: Start, connect: Connect, wait_for: WaitFor, archive: bytes
) -> None:
    service = start(**SETTINGS)
    with connect(service.start()) as http:
        address = submit(http, archive)
        first = wait_for(lambda: parts(service, address), "the parts")[0][0]

        def kill() -> bool:
            lock = service.data_dir / "jobs" / first / "lock"
            pid = read_holder(lock) if lock.exists() and is_locked(lock) else None
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
            return http.get(address).json()["finished_at"] is not None

        wait_for(kill, "the end")
        batch = ended(http, address, wait_for)
        assert batch["status"] == "failed"
        assert batch["error"]["code"] == "worker_lost"
        over = {"cancelled", "succeeded"}
        wait_for(
            lambda: {status for _, status, _ in parts(service, address)[1:]} <= over, "the end of the others"
        )
        assert parts(service, address)[0][:2] == (first, "failed")
        log = http.get(f"{address}/log").text
        assert all(f"attempt {attempt} of batch_part {first}" in log for attempt in (1, 2, 3))
    service.stop()
