"""A server with artifacts in S3 does all that one with a data directory does, and waits where the store is away."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import obstore
import pytest

from app.cli.launch import ServerProcess
from app.store.database import DATABASE_NAME
from tests.cluster.seaweed import S3Server, running
from tests.http.several import TRAINING, pictures

pytestmark = pytest.mark.cluster

Wait = Callable[[Callable[[], Any], str], Any]


@pytest.fixture
def own_s3() -> Iterator[S3Server]:
    """A server of one's own, which can be killed."""
    with running() as server:
        yield server


def end(http: httpx.Client, wait_for: Wait, answer: httpx.Response) -> dict[str, Any]:
    """Wait for the end of what was asked for, and return it."""
    assert answer.status_code == 202, answer.text
    where = answer.headers["Location"]

    def ended() -> dict[str, Any] | None:
        job: dict[str, Any] = http.get(where).json()
        return job if job["status"] in {"succeeded", "failed", "cancelled", "ready"} else None

    found: dict[str, Any] = wait_for(ended, f"the end of {where}")
    assert found["status"] in {"succeeded", "ready"}, found
    return found


def test_the_main_path_and_a_restart_with_an_empty_data_directory(
    s3: S3Server,
    prefix: str,
    start: Callable[..., ServerProcess],
    connect: Callable[..., httpx.Client],
    wait_for: Wait,
    tmp_path: Path,
) -> None:
    settings = s3.settings(prefix) | {"CORES": "1", "LOG_LEVEL": "debug"}
    first = start("first", **settings)
    with first as url, connect(url) as http:
        sent = {"files": {"file": ("a.zip", pictures(side=28))}, "data": {"name": "letters"}}
        made = end(http, wait_for, http.post("/v1/datasets", **sent))
        added = http.post(f"/v1/datasets/{made['id']}/images", files={"file": ("b.zip", pictures(side=10))})
        end(http, wait_for, added)
        job = end(http, wait_for, http.post("/v1/training-jobs", json=TRAINING | {"epochs": 1}))
        model = job["model_id"]
        asked = {"model": model, "dataset": "digits", "split": "test"}
        evaluation = end(http, wait_for, http.post("/v1/evaluations", json=asked))
        batch = end(
            http,
            wait_for,
            http.post("/v1/batch-predictions", files={"file": ("a.zip", pictures())}, data={"model": model}),
        )

        def shown(client: httpx.Client) -> dict[str, bytes]:
            places = (
                f"/v1/models/{model}/weights",
                f"/v1/training-jobs/{job['id']}/log",
                f"/v1/training-jobs/{job['id']}/report",
                f"/v1/evaluations/{evaluation['id']}",
                f"/v1/batch-predictions/{batch['id']}/result",
                f"/v1/datasets/{made['id']}/statistics",
                f"/v1/datasets/{made['id']}/log",
                "/v1/datasets/digits/images/17",
            )
            answers = {place: client.get(place) for place in places}
            assert {place: answer.status_code for place, answer in answers.items()} == dict.fromkeys(
                places, 200
            )
            return {place: answer.content for place, answer in answers.items()}

        picture = shown(http)["/v1/datasets/digits/images/17"]
        predicted = http.post(f"/v1/models/{model}/predict", files={"files": picture})
        assert predicted.status_code == 200, predicted.text
        # what has been printed is in the store once the attempt has ended
        log = f"jobs/{job['id']}/attempt-1.log"
        wait_for(lambda: log in s3.names(prefix, "jobs"), "the log in the store")
        before = shown(http)
    assert not (first.data_dir / "models").exists()
    assert not (first.data_dir / "datasets").exists()
    assert list((first.data_dir / "jobs").rglob("*.npy")) == []
    second = start("second", **settings)
    second.data_dir.mkdir()
    shutil.copy(first.data_dir / DATABASE_NAME, second.data_dir / DATABASE_NAME)
    with second as url, connect(url) as http:
        assert shown(http) == before
        again = http.post(f"/v1/models/{model}/predict", files={"files": picture})
        assert again.json() == predicted.json()
        for place in (
            f"/v1/training-jobs/{job['id']}",
            f"/v1/evaluations/{evaluation['id']}",
            f"/v1/batch-predictions/{batch['id']}",
            f"/v1/models/{model}",
            f"/v1/datasets/{made['id']}",
        ):
            assert http.delete(place).status_code == 204
    left = [
        name
        for name in s3.names(prefix)
        if any(i in name for i in (job["id"], model, made["id"], batch["id"]))
    ]
    assert left == []
    assert s3.names(prefix, "uploads") == []
    for process in (first, second):
        assert settings["ARTIFACTS_SECRET_ACCESS_KEY"] not in process.log.read_text()


def test_a_job_waits_while_the_store_is_away(
    own_s3: S3Server,
    start: Callable[..., ServerProcess],
    connect: Callable[..., httpx.Client],
    wait_for: Wait,
) -> None:
    settings = own_s3.settings("a") | {"CORES": "1", "CHECKPOINT_SECONDS": "0.5"}
    service = start(**settings)
    with service as url, connect(url) as http:
        job = http.post("/v1/training-jobs", json=TRAINING | {"epochs": 6}).json()
        place = f"/v1/training-jobs/{job['id']}"
        wait_for(lambda: any("checkpoint" in name for name in own_s3.names("a", "jobs")), "a checkpoint")
        own_s3.kill()
        wait_for(lambda: http.get(place).json()["status"] == "queued", "the job waiting")
        shown = http.get("/readyz")
        assert shown.status_code == 503
        assert "object store" in shown.text
        refused = http.get("/v1/datasets/digits/images/17")
        assert refused.status_code == 503, refused.text
        assert refused.json()["type"] == "/problems/storage-unavailable"
        assert "127.0.0.1" not in refused.text
        assert http.get("/v1/models").status_code == 200
        own_s3.start()
        ended = wait_for(
            lambda: (found := http.get(place).json())["status"] not in {"queued", "running"} and found,
            "the end of the job",
        )
        assert ended["status"] == "succeeded", ended
        assert http.get("/readyz").status_code == 200
        assert len(http.get(f"/v1/models/{ended['model_id']}/weights").content) > 1000


def test_a_new_database_is_refused_where_the_files_of_another_are(
    s3: S3Server, prefix: str, start: Callable[..., ServerProcess]
) -> None:
    obstore.put(s3.store(prefix), "models/model_other.safetensors", b"of somebody")
    service = start(**s3.settings(prefix))
    with pytest.raises(Exception, match="holds the files of another database"):
        service.start()
    assert s3.names(prefix) == ["models/model_other.safetensors"]


def test_without_the_store_a_server_says_why_it_does_not_start(
    own_s3: S3Server, start: Callable[..., ServerProcess]
) -> None:
    own_s3.kill()
    service = start(**own_s3.settings("a"))
    with pytest.raises(Exception, match="the object store cannot be reached"):
        service.start()
