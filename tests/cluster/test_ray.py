"""Jobs on Ray itself, a head and two nodes on loopback addresses, over HTTP: what dies costs no job and no byte."""

from __future__ import annotations

import io
import os
import signal
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import httpx
import pytest

from app.cli.launch import ServerProcess
from app.files.locks import is_locked, read_holder
from app.jobs.cluster.launcher import RayLauncher
from app.jobs.launcher import NotStarted
from app.store import Store
from tests.cluster import training
from tests.cluster.ray_cluster import HEAD, NODES, PATIENCE, ROOT, RayCluster
from tests.cluster.seaweed import S3Server
from tests.cluster.training import ended, in_epoch, submit, weights
from tests.http.several import pictures, png
from tests.jobs.launcher_contract import CHECKS, MakeLauncher
from tests.jobs.service import Service, new_service, pause, until

pytestmark = pytest.mark.cluster

THIRD = "127.0.0.5"
REQUEST = training.REQUEST | {"epochs": 10, "batch_size": 32}
SETTINGS = {"CHECKPOINT_SECONDS": "0.5", "CORES": "1", "GRACE_SECONDS": "5"}

Connect = Callable[..., httpx.Client]
Start = Callable[..., ServerProcess]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, connect: Connect) -> str:
    """The weights of the run on this machine, to which nothing happens."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with ServerProcess(folder / "data", folder / "log", SETTINGS) as url, connect(url) as client:
        return weights(client, ended(client, submit(client, REQUEST)))


def worker(data_dir: Path, job_id: str) -> int:
    lock = data_dir / "jobs" / job_id / "lock"
    pid = read_holder(lock)
    assert pid is not None
    assert is_locked(lock)
    return pid


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_what_holds_of_every_launcher_holds_on_ray(
    ray_cluster: RayCluster, tmp_path: Path, check: Callable[[Service, MakeLauncher], None]
) -> None:
    launchers: list[RayLauncher] = []
    with new_service(tmp_path) as service:
        given = {name.lower(): value for name, value in ray_cluster.settings().items()}
        settings = service.settings(**given, grace_seconds=5.0)

        def make() -> RayLauncher:
            launcher = RayLauncher(service.store, service.artifacts, settings, lambda: ray_cluster.token)
            launchers.append(launcher)
            return launcher

        check(service, make)
        without_token = RayLauncher(service.store, service.artifacts, settings, lambda: None)
        launchers.append(without_token)
        with pytest.raises(NotStarted, match="CONVSERVE_RAY_TOKEN is not its token"):
            without_token.start("job_x", 1, threads=1)
    for launcher in launchers:
        launcher.close()


def test_the_main_path_and_a_server_that_is_replaced(
    ray_cluster: RayCluster, start: Start, connect: Connect, undisturbed: str
) -> None:
    service = start(**ray_cluster.settings(), **SETTINGS)
    with connect(service.start()) as client:
        job_id = submit(client, REQUEST)
        in_epoch(client, job_id, 2)
        begun = f"attempt 1 of training {job_id}"
        until(lambda: begun in client.get(f"/v1/training-jobs/{job_id}/log").text, "its start", PATIENCE)
        # what docker/compose.cluster.yaml and the manifests ask, without a token
        healthy = httpx.get(f"{ray_cluster.agent_of(f'{job_id}-1')}/api/healthz", trust_env=False)
        assert healthy.status_code == 200, healthy.text
        service.stop()
    with connect(service.start()) as client:
        job = ended(client, job_id)
        assert job["attempt"] == 1, "it has gone on without a server"
        assert weights(client, job) == undisturbed
        log = client.get(f"/v1/training-jobs/{job_id}/log").text
        assert "done" in log
        assert ray_cluster.token not in log
        evaluation = client.post(
            "/v1/evaluations", json={"model": job["model_id"], "dataset": "digits"}
        ).json()
        place = f"/v1/evaluations/{evaluation['id']}"
        until(lambda: client.get(place).json()["status"] == "succeeded", "the evaluation", PATIENCE)
        cancelled = submit(client, REQUEST, epochs=100_000)
        in_epoch(client, cancelled, 1)
        client.post(f"/v1/training-jobs/{cancelled}/cancel")
        assert ended(client, cancelled)["status"] == "cancelled"
        service.stop()


def kill_the_worker(ray: RayCluster, data_dir: Path, job_id: str) -> None:
    os.kill(worker(data_dir, job_id), signal.SIGKILL)


def kill_its_node(ray: RayCluster, data_dir: Path, job_id: str) -> None:
    address = ray.node_of(f"{job_id}-1")
    ray.kill(address)
    ray.start_node(address)


def kill_the_head(ray: RayCluster, data_dir: Path, job_id: str) -> None:
    pause(data_dir, worker(data_dir, job_id))  # it would be done before its node misses the head
    ray.kill(HEAD)
    ray.wait_for_lost_nodes()
    ray.start(*NODES)


@pytest.mark.parametrize("kill", [kill_the_worker, kill_its_node, kill_the_head])
def test_what_is_killed_costs_no_job(
    ray_cluster: RayCluster,
    start: Start,
    connect: Connect,
    undisturbed: str,
    kill: Callable[[RayCluster, Path, str], None],
    record_property: Callable[[str, object], None],
) -> None:
    service = start(**ray_cluster.settings(), **SETTINGS)
    with connect(service.start()) as client:
        job_id = submit(client, REQUEST)
        in_epoch(client, job_id, 3)
        began = time.monotonic()
        kill(ray_cluster, service.data_dir, job_id)
        again = f"attempt 2 of training {job_id}"
        until(lambda: again in client.get(f"/v1/training-jobs/{job_id}/log").text, "its start", PATIENCE)
        what = kill.__name__.removeprefix("kill_").replace("_", " ")
        record_property(
            f"seconds until the job ran again after the death of {what}:", f"{time.monotonic() - began:.0f}"
        )
        job = ended(client, job_id)
        assert job["attempt"] == 2
        assert weights(client, job) == undisturbed
        models = [model for model in client.get("/v1/models").json()["data"] if not model.get("builtin")]
        assert [model["id"] for model in models] == [job["model_id"]]
        ray_cluster.wait_for(HEAD, *NODES)
        service.stop()


def test_a_node_of_another_version_is_refused(
    ray_cluster: RayCluster, start: Start, connect: Connect, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    (other / "convserve-0.0.9.dist-info").mkdir(parents=True)
    (other / "convserve-0.0.9.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: convserve\nVersion: 0.0.9\n"
    )
    ray_cluster.start_node(THIRD, cores=2, PYTHONPATH=os.pathsep.join([str(other), str(ROOT)]))
    ray_cluster.wait_for(HEAD, *NODES, THIRD)
    # only the third has room for a job of two cores
    service = start(**ray_cluster.settings(), **SETTINGS | {"RAY_CORES": "2"})
    with connect(service.start()) as client:
        job_id = submit(client, REQUEST)
        job = ended(client, job_id)
        assert (job["status"], job["attempt"]) == ("failed", 1)
        assert job["error"]["code"] == "node_refused"
        assert "convserve 0.0.9, the server has convserve" in job["error"]["message"]
        service.stop()
    ray_cluster.kill(THIRD)
    ray_cluster.wait_for(HEAD, *NODES)


def test_postgres_s3_and_ray_together_by_setting_variables_only(
    ray_cluster: RayCluster,
    start: Start,
    connect: Connect,
    database_url: str,
    s3: S3Server,
    prefix: str,
    tmp_path: Path,
) -> None:
    given = {"DATABASE_URL": database_url} | s3.settings(prefix)
    secret = ("DATABASE_URL", "ARTIFACTS_SECRET_ACCESS_KEY")

    def join(name: str) -> None:
        """Add a node with secrets and a data directory of its own."""
        own = {f"CONVSERVE_{variable}": given[variable] for variable in secret}
        folder = str(tmp_path / name)
        ray_cluster.start_node(THIRD, cores=2, CONVSERVE_DATA_DIR=folder, **own)
        ray_cluster.wait_for(HEAD, *NODES, THIRD)

    join("node")
    # only the third has room for a job of two cores
    settings = ray_cluster.settings() | SETTINGS | given | {"RAY_CORES": "2"}
    first = start("first", **settings)
    with connect(first.start()) as client:
        sent = {"files": {"file": ("a.zip", pictures(side=28))}, "data": {"name": "letters"}}
        made = at_end(client, client.post("/v1/datasets", **sent))
        assert made["images"] == 12, made
        job_id = submit(client, REQUEST)
        in_epoch(client, job_id, 2)
        first.stop()
    ray_cluster.kill(THIRD)
    join("another-node")
    second = start("second", **settings)
    with connect(second.start()) as client:
        job = ended(client, job_id)
        assert (job["status"], job["attempt"]) == ("succeeded", 2), job
        log = client.get(f"/v1/training-jobs/{job_id}/log").text
        assert f"attempt 2 of training {job_id}" in log
        for variable in secret:
            assert given[variable] not in log + first.log.read_text() + second.log.read_text()
        model = job["model_id"]
        asked = {"model": model, "dataset": "digits", "split": "test"}
        evaluation = at_end(client, client.post("/v1/evaluations", json=asked))
        assert evaluation["metrics"]["accuracy"] > 0.5, evaluation
        sent = {"files": {"file": ("a.zip", pictures(side=28))}, "data": {"model": model}}
        batch = at_end(client, client.post("/v1/batch-predictions", **sent))
        result = client.get(f"/v1/batch-predictions/{batch['id']}/result").text
        picture = client.get("/v1/datasets/digits/images/17").content
        predicted = client.post(f"/v1/models/{model}/predict", files={"files": picture})
        assert predicted.status_code == 200, predicted.text
        assert result.count("\n") >= 12, result
        second.stop()
    for directory in (first.data_dir, second.data_dir):
        assert not (directory / "models").exists()
        assert not (directory / "datasets").exists()
    ray_cluster.kill(THIRD)
    ray_cluster.wait_for(HEAD, *NODES)


def test_a_batch_prediction_and_its_parts_fit_where_one_job_does(
    ray_cluster: RayCluster, start: Start, connect: Connect
) -> None:
    archive = io.BytesIO()
    with ZipFile(archive, "w") as file:
        for number in range(140):
            file.writestr(f"{number:03}.png", png(number, side=28))

    def table(service: ServerProcess) -> str:
        with service as url, connect(url) as client:
            sent = {"files": {"file": ("a.zip", archive.getvalue())}, "data": {"model": "model_example"}}
            batch = at_end(client, client.post("/v1/batch-predictions", **sent))
            assert batch["attempt"] == 1
            with closing(Store(service.data_dir)) as store:
                assert len(store.job_parts.identifiers(batch["id"])) == parts
            return client.get(f"/v1/batch-predictions/{batch['id']}/result").text

    parts = 0
    whole = table(start("here", **SETTINGS))
    ray_cluster.kill(NODES[1])
    ray_cluster.wait_for(HEAD, NODES[0])
    parts = 3
    settings = SETTINGS | ray_cluster.settings() | {"MAX_JOBS": "2", "BATCH_PART_IMAGES": "64"}
    assert table(start("on_ray", **settings)) == whole
    ray_cluster.start_node(NODES[1])
    ray_cluster.wait_for(HEAD, *NODES)


def at_end(client: httpx.Client, answer: httpx.Response) -> dict[str, Any]:
    """Wait for the end of what was asked for, and return it."""
    assert answer.status_code == 202, answer.text
    finished = ("succeeded", "failed", "cancelled", "ready")
    place = answer.headers["Location"]
    found: dict[str, Any] = until(
        lambda: (found := client.get(place).json())["status"] in finished and found, "its end", PATIENCE
    )
    assert found["status"] in ("succeeded", "ready"), (found["error"], client.get(f"{place}/log").text)
    return found
