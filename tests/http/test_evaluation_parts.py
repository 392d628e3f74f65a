"""Evaluations that are cut into parts: the same bytes as without, whatever happens to the parts meanwhile."""

import json
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.cli.launch import ServerProcess
from app.files.locks import is_locked, read_holder
from tests.http.several import ended

pytestmark = pytest.mark.slow

BODY = {"model": "lenet-5-digits@example", "dataset": "digits", "split": "test"}
FOUND = ("report.json", "evaluated.npy", "mistakes.png")
SETTINGS = {"MAX_JOBS": "2", "EVALUATION_PART_IMAGES": "2500", "HEARTBEAT_TIMEOUT": "600"}

Connect = Callable[..., httpx.Client]
Start = Callable[..., ServerProcess]
WaitFor = Callable[..., Any]


def submit(http: httpx.Client) -> str:
    answer = http.post("/v1/evaluations", json=BODY)
    assert answer.status_code == 202, answer.text
    return str(answer.headers["location"])


def parts(service: ServerProcess, address: str) -> list[tuple[str, str, str, int, str]]:
    """Return the ids, kinds, states, attempts and requests of the parts."""
    query = "SELECT id, kind, status, attempt, request FROM jobs WHERE part_of = ? ORDER BY id"
    with closing(sqlite3.connect(service.data_dir / "convserve.sqlite3")) as connection:
        return connection.execute(query, (address.rpartition("/")[2],)).fetchall()


def found(service: ServerProcess, address: str, attempt: int = 1) -> dict[str, bytes]:
    """Return what an evaluation has written, byte for byte."""
    folder = service.data_dir / "jobs" / address.rpartition("/")[2]
    names = (Path(name) for name in FOUND)
    return {
        str(name): (
            folder / (name.name if attempt == 1 else f"{name.stem}-{attempt}{name.suffix}")
        ).read_bytes()
        for name in names
    }


def holders(service: ServerProcess) -> dict[str, int]:
    """Return the processes that work on parts, by the part."""
    locks = [lock for lock in service.data_dir.glob("jobs/part_*/lock") if is_locked(lock)]
    return {lock.parent.name: pid for lock in locks if (pid := read_holder(lock)) is not None}


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory, connect: Connect, wait_for: WaitFor
) -> Iterator[dict[str, bytes]]:
    """What is found without parts, by a server that is otherwise the same."""
    folder = tmp_path_factory.mktemp("whole")
    service = ServerProcess(folder / "data", folder / "log", SETTINGS | {"EVALUATION_PART_IMAGES": "0"})
    with connect(service.start()) as http:
        address = submit(http)
        assert ended(http, address, wait_for)["status"] == "succeeded"
        assert parts(service, address) == []
        yield found(service, address)
    service.stop()


def test_it_finds_the_same_bytes_and_nobody_sees_the_parts(
    start: Start, connect: Connect, wait_for: WaitFor, whole: dict[str, bytes]
) -> None:
    service = start(**SETTINGS)
    with connect(service.start()) as http:
        address = submit(http)
        wait_for(lambda: parts(service, address), "its parts")
        assert "evaluation_part" not in http.get("/v1/system").text
        evaluation = ended(http, address, wait_for)
        assert evaluation["status"] == "succeeded", evaluation
        total = evaluation["progress"]["of"]
        assert evaluation["progress"] == {"images": total, "of": total, "fraction": 1.0}
        assert found(service, address) == whole
        made = parts(service, address)
        assert len(made) > 3
        assert {(kind, status) for _, kind, status, _, _ in made} == {("evaluation_part", "succeeded")}
        ranges = [json.loads(request) for *_, request in made]
        ends = [part["first"] + part["images"] for part in ranges]
        assert [part["first"] for part in ranges] == [0, *ends[:-1]]
        assert ends[-1] == total
        assert http.get(f"/v1/evaluations/{made[0][0]}").status_code == 404
        assert made[0][0] not in http.get("/v1/evaluations").text
        wait_for(lambda: not list(service.data_dir.glob("jobs/part_*/*.rows")), "the end of what parts found")
        assert http.delete(address).status_code == 204
        assert parts(service, address) == []
        assert list(service.data_dir.glob("jobs/part_*")) == []
    service.stop()


def test_it_finds_them_too_when_its_workers_die(
    start: Start, connect: Connect, wait_for: WaitFor, whole: dict[str, bytes]
) -> None:
    service = start(**SETTINGS)
    with connect(service.start()) as http:
        address = submit(http)
        own = service.data_dir / "jobs" / address.rpartition("/")[2] / "lock"
        killed = wait_for(lambda: holders(service), "a part at work")
        worker = read_holder(own)
        assert worker is not None
        for pid in (*killed.values(), worker):
            with suppress(ProcessLookupError):  # it was done just now
                os.kill(pid, signal.SIGKILL)
        evaluation = ended(http, address, wait_for)
        assert (evaluation["status"], evaluation["attempt"]) == ("succeeded", 2)
        assert found(service, address, attempt=2) == whole
        attempts = {part: attempt for part, _, _, attempt, _ in parts(service, address)}
        assert 2 in {attempts[part] for part in killed}
    service.stop()


def test_a_part_that_fails_fails_it_with_its_reason(
    start: Start, connect: Connect, wait_for: WaitFor
) -> None:
    service = start(**SETTINGS)
    with connect(service.start()) as http:
        address = submit(http)
        first = wait_for(lambda: parts(service, address), "the parts")[0][0]

        def kill() -> bool:
            pid = holders(service).get(first)
            if pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return http.get(address).json()["finished_at"] is not None

        wait_for(kill, "the end")
        evaluation = ended(http, address, wait_for)
        assert (evaluation["status"], evaluation["error"]["code"]) == ("failed", "worker_lost")
    service.stop()
