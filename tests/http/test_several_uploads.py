"""Several processes that serve one data directory: uploads, keys and predictions, whoever dies."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from urllib.parse import urlsplit

import httpx
import pytest

from app.cli.launch import ServerProcess
from app.files import paths
from app.files.artifacts import LocalArtifacts
from app.files.locks import is_locked
from app.jobs.leftovers import SAFE, remove_leftovers
from app.store import Store
from app.store.database import DATABASE_NAME
from tests.http.several import (
    Connect,
    WaitFor,
    events,
    get,
    go_on,
    holder,
    kill,
    pictures,
    png,
    processes,
    submit,
    wait_end,
    wait_made,
)


@pytest.mark.slow
@pytest.mark.parametrize("several", [2, 3], indirect=True)
def test_what_was_answered_is_there_whoever_dies(
    several: ServerProcess, several_url: str, connect: Connect, wait_for: WaitFor
) -> None:
    """Uploads, jobs, alias switches and predictions go on while each process is killed, and who has the lease again."""
    over = threading.Event()
    model = {"model_id": "model_example"}
    kept: list[str] = []
    trained: list[str] = []
    done: Counter[str] = Counter(upload=0, train=0, switch=0, predict=0)

    def repeat(what: Callable[[httpx.Client], None]) -> None:
        while not over.is_set():
            # a connection of its own each time: either process may get it
            with suppress(httpx.TransportError), connect(several_url) as own:
                what(own)
                done[what.__name__] += 1

    def upload(client: httpx.Client) -> None:
        form = {"image_size": "8", "channels": "1", "name": f"u{done['upload']}"}
        answer = client.post("/v1/datasets", data=form, files={"file": ("a.zip", pictures())})
        assert answer.status_code == 202, answer.text
        kept.append(answer.json()["id"])
        over.wait(1.0)  # each of them is a worker's work

    def train(client: httpx.Client) -> None:
        trained.append(submit(client))
        over.wait(3.0)

    def switch(client: httpx.Client) -> None:
        path = f"/v1/models/lenet-5-digits/aliases/a{done['switch']}"
        assert client.put(path, json=model).status_code in (200, 201)
        # another process answers by it within moments
        with connect(several_url) as other:
            assert other.get(f"/v1/models/lenet-5-digits@a{done['switch']}").json()["id"] == "model_example"

    def predict(client: httpx.Client) -> None:
        answer = client.post(
            "/v1/models/model_example/predict", content=png(3), headers={"content-type": "image/png"}
        )
        assert answer.status_code == 200, answer.text

    with connect(several_url) as client, ThreadPoolExecutor(4) as pool:
        loops = [pool.submit(repeat, what) for what in (upload, train, switch, predict)]
        try:
            for number in [*processes(several), None]:
                go_on(done, loops, wait_for)
                kill(several, holder(several) if number is None else number, wait_for)
            go_on(done, loops, wait_for)
        finally:
            over.set()
        for loop in loops:
            loop.result()
        for dataset in kept:
            assert wait_made(client, dataset, wait_for)["status"] == "ready"
        for job in trained:
            ended = wait_end(client, job, wait_for)
            assert ended["status"] == "succeeded"
            # no attempt is lost that has begun; who has taken a job and dies before it starts a worker loses one
            first = several.data_dir / paths.log(job, 1)
            assert ended["attempt"] == 1 or not first.exists() or not first.read_text()
        jobs = [line["job"] for line in events(several, "worker_started")]
        assert len(jobs) == len(set(jobs))
    assert several.log.read_text().count("Traceback") == 0


@pytest.mark.slow
def test_two_calls_with_one_key_create_one_thing(
    several: ServerProcess, several_url: str, connect: Connect
) -> None:
    """The calls arrive in two processes at a time, where neither knows of the other."""
    file = {"file": ("a.zip", pictures())}
    for number in range(8):
        form = {"image_size": "8", "channels": "1", "name": f"once-{number}"}

        def post(_: int, number: int = number, form: dict[str, str] = form) -> httpx.Response:
            with connect(several_url) as own:
                return own.post(
                    "/v1/datasets", data=form, files=file, headers={"Idempotency-Key": f"k{number}"}
                )

        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(post, range(4)))
        assert {answer.status_code for answer in answers} <= {202, 409}
        for answer in answers:
            if answer.status_code == 409:
                assert answer.json()["type"].endswith("/idempotency-key-in-use"), answer.text
        assert len({answer.json()["id"] for answer in answers if answer.status_code == 202}) == 1
    with connect(several_url) as client:
        names = [entry["name"] for entry in get(client, "/v1/datasets?limit=100")["data"]]
        assert sorted(name for name in names if name.startswith("once-")) == [f"once-{n}" for n in range(8)]


@pytest.mark.slow
@pytest.mark.local
def test_a_call_that_another_process_has_answered_meanwhile_gets_that_answer(
    several: ServerProcess, several_url: str, connect: Connect, wait_for: WaitFor
) -> None:
    form = {"image_size": "8", "channels": "1"}
    file = {"file": ("a.zip", pictures(side=600))}

    def post(client: httpx.Client, key: str) -> httpx.Response:
        request = client.build_request("POST", "/v1/datasets", data=form, files=file)
        body, uploads = request.read(), several.data_dir / "uploads"

        def slowly() -> Iterator[bytes]:
            yield body[: len(body) // 2]
            if key == "second":
                wait_for(lambda: any(uploads.glob(".tmp-*")), "the beginning of the upload")
                with closing(sqlite3.connect(several.data_dir / DATABASE_NAME)) as database, database:
                    database.execute(
                        "INSERT INTO answers SELECT route, 'second', fingerprint, status, headers, body, created_at "
                        "FROM answers WHERE key = 'first'"
                    )
            yield body[len(body) // 2 :]

        headers = {"Idempotency-Key": key, "Content-Type": request.headers["content-type"]}
        return client.post("/v1/datasets", content=slowly(), headers=headers)

    with connect(several_url) as client:
        first = post(client, "first")
        assert first.status_code == 202, first.text
        wait_made(client, first.json()["id"], wait_for)
        second = post(client, "second")
        assert second.headers["idempotent-replayed"] == "true"
        assert second.json() == first.json()
        made = [entry["id"] for entry in get(client, "/v1/datasets?limit=100")["data"]]
    assert set(made) == {"digits", first.json()["id"]}
    assert list((several.data_dir / "uploads").iterdir()) == []


@pytest.mark.slow
@pytest.mark.local
def test_a_half_done_upload_leaves_nothing_and_a_slow_one_stays(
    several: ServerProcess, several_url: str, connect: Connect, wait_for: WaitFor
) -> None:
    uploads = several.data_dir / "uploads"
    address = urlsplit(several_url)
    body = b"x" * 300_000
    head = (
        f"POST /v1/models/import HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: 9999999\r\n"
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()

    def begin() -> socket.socket:
        before = set(uploads.glob(".tmp-*"))
        connection = socket.create_connection((address.hostname, address.port))
        connection.sendall(head + body * 10)
        wait_for(lambda: set(uploads.glob(".tmp-*")) > before, "the beginning of the upload")
        return connection

    with begin() as slow:
        (file,) = uploads.glob(".tmp-*")
        long_ago = time.time() - 7200
        os.utime(file, (long_ago, long_ago))
        store, artifacts = Store(several.data_dir), LocalArtifacts(several.data_dir)
        try:
            remove_leftovers(store, artifacts, SAFE)
            assert file.exists()
            for pid in processes(several).values():
                os.kill(pid, signal.SIGKILL)
            wait_for(lambda: not is_locked(file), "the end of the receiver")
            os.utime(file, (long_ago, long_ago))
            remove_leftovers(store, artifacts, SAFE)
        finally:
            store.close()
        assert list(uploads.iterdir()) == []
        slow.close()
