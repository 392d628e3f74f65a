"""A server whose rows are in PostgreSQL, by setting one variable: the main path, a restart, and PostgreSQL's death."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.cli.launch import ServerProcess
from app.store.database import DATABASE_NAME
from tests.cluster.postgres import PostgresServer, execute
from tests.cluster.seaweed import S3Server
from tests.http.several import TRAINING, events, pictures, png, submit, wait_end, wait_made

pytestmark = pytest.mark.cluster

WaitFor = Callable[..., Any]
Connect = Callable[..., httpx.Client]
SLOW = TRAINING | {"epochs": 20, "batch_size": 32, "name": "slow"}


@pytest.fixture
def service(start: Callable[..., ServerProcess], database_url: str, tmp_path: Path) -> ServerProcess:
    """A server on an empty database, whose address it reads from a file."""
    file = tmp_path / "address"
    file.write_text(database_url + "\n")
    return start(DATABASE_URL_FILE=str(file), LOG_FORMAT="json", CORES="1", CHECKPOINT_SECONDS="0.5")


def test_the_main_path_and_a_restart(service: ServerProcess, connect: Connect, wait_for: WaitFor) -> None:
    with connect(service.start()) as client:
        job = wait_end(client, submit(client, TRAINING | {"name": "m"}), wait_for)
        assert (job["status"], job["attempt"]) == ("succeeded", 1)
        model = job["model_id"]
        picture = client.get("/v1/datasets/digits/images/0").content
        asked = f"/v1/models/{model}/predict"
        answer = client.post(asked, content=picture, headers={"Content-Type": "image/png"})
        assert answer.status_code == 200, answer.text
        assert client.put("/v1/models/m/aliases/best", json={"model_id": model}).status_code in (200, 201)
        assert client.get("/readyz").status_code == 200
        # what no text of the database holds is not there, and no fault
        assert client.get("/v1/models/a%00b").status_code == 404
    service.stop()
    with connect(service.start()) as client:
        again = client.post(
            "/v1/models/m@best/predict", content=picture, headers={"Content-Type": "image/png"}
        )
        assert again.json() == answer.json()
        assert client.get(f"/v1/training-jobs/{job['id']}").json()["status"] == "succeeded"
        assert client.delete("/v1/models/m/aliases/best").status_code == 204
        assert client.delete(f"/v1/models/{model}").status_code == 204
        assert client.get(f"/v1/models/{model}").status_code == 404
        assert client.delete(f"/v1/training-jobs/{job['id']}").status_code == 204
    service.stop()
    assert not (service.data_dir / DATABASE_NAME).exists()
    assert "a-secret" not in service.log.read_text()
    assert "a-secret" not in "".join(path.read_text() for path in service.data_dir.rglob("*.log"))


def test_a_job_goes_on_when_postgres_was_killed_and_nothing_is_done_twice(
    service: ServerProcess, postgres: PostgresServer, connect: Connect, wait_for: WaitFor
) -> None:
    with connect(service.start()) as client:
        undisturbed = wait_end(client, submit(client, SLOW), wait_for)
        job_id = submit(client, SLOW)

        def epochs() -> int:
            answer = client.get(f"/v1/training-jobs/{job_id}/metrics")
            return len(answer.json()["data"]) if answer.status_code == 200 else 0

        wait_for(lambda: epochs() >= 3, "some epochs")
        postgres.kill()
        wait_for(lambda: client.get("/readyz").status_code == 503, "the fault")
        answer = client.get(f"/v1/training-jobs/{job_id}")
        assert answer.status_code == 503
        assert answer.json()["type"] == "/problems/storage-unavailable"
        assert "Retry-After" in answer.headers
        postgres.start()
        wait_for(lambda: client.get("/readyz").status_code == 200, "the end of the fault")
        job = wait_end(client, job_id, wait_for)
        assert (job["status"], job["attempt"]) == ("succeeded", 1)
        told = client.get(f"/v1/training-jobs/{job_id}/metrics").json()["data"]
        assert [epoch["epoch"] for epoch in told] == list(range(1, SLOW["epochs"] + 1))
        first, second = (client.get(f"/v1/models/{each['model_id']}").json() for each in (undisturbed, job))
        assert (first["version"], second["version"]) == (1, 2)
        assert first["metrics"] == second["metrics"]
    service.stop()
    ended = [line["job"] for line in events(service, "job_ended")]
    assert sorted(ended) == sorted([undisturbed["id"], job_id])


@pytest.mark.parametrize(("when", "stays"), [("INITIALLY IMMEDIATE", False), ("INITIALLY DEFERRED", True)])
def test_files_stay_only_where_the_row_may_be_there_when_the_connection_is_lost(
    when: str, stays: bool, service: ServerProcess, database_url: str, connect: Connect, wait_for: WaitFor
) -> None:
    """Whether a write whose commit got no answer was committed nobody can tell: its job may need what was uploaded."""
    with connect(service.start()) as client:
        archive = {"file": ("a.zip", pictures(side=28))}
        made = client.post("/v1/datasets", files=archive).json()["id"]
        assert wait_made(client, made, wait_for)["status"] == "ready"
        execute(
            database_url,
            "CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$",
        )
        for table in ("jobs", "models"):
            execute(
                database_url,
                f"CREATE CONSTRAINT TRIGGER lose AFTER INSERT ON {table} DEFERRABLE {when} "
                "FOR EACH ROW EXECUTE FUNCTION lose()",
            )
        weights = client.get("/v1/models/model_example/weights").content
        before = len(list((service.data_dir / "models").iterdir()))
        for path, body in (
            ("/v1/datasets", {"files": archive}),
            (
                f"/v1/datasets/{made}/images",
                {"files": {"files": ("a.png", png(1, 28))}, "data": {"label": "a"}},
            ),
            ("/v1/batch-predictions", {"files": archive, "data": {"model": "model_example"}}),
            ("/v1/models/import", {"files": {"file": ("a.safetensors", weights)}, "data": {"name": "a"}}),
        ):
            answer = client.post(path, **body)
            assert answer.status_code == 503, f"{path}: {answer.text}"
        uploads = [path for path in (service.data_dir / "uploads").iterdir() if path.is_file()]
        models = len(list((service.data_dir / "models").iterdir())) - before
        assert (len(uploads), models) == ((3, 1) if stays else (0, 0))


def test_without_room_on_the_disk_here_a_server_starts_and_says_it_of_the_disk(
    start: Callable[..., ServerProcess], database_url: str, s3: S3Server, prefix: str
) -> None:
    # what is read from the bucket is kept on the disk here
    server = start(DATABASE_URL=database_url, MIN_FREE_BYTES=str(2**60), **s3.settings(prefix))
    with server as url, httpx.Client(base_url=url, trust_env=False, timeout=60) as http:
        ready = http.get("/readyz").json()
        assert ready["status"] == "ok"
        (warning,) = ready["warnings"]
        assert "are free on the disk of the server" in warning
        refused = http.post("/v1/datasets", files={"file": ("a.zip", b"of pictures")}, data={"name": "a"})
        assert refused.status_code == 507
        assert "on the disk of the server" in refused.json()["detail"]
