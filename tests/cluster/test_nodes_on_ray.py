"""Training jobs over several nodes of Ray itself: the bytes of as many shares on one machine, whatever dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from app.cli.launch import ServerProcess
from tests.cluster import training
from tests.cluster.ray_cluster import HEAD, NODES, PATIENCE, RayCluster
from tests.cluster.training import ended, in_epoch, submit, weights
from tests.jobs.service import until
from tests.processes import running

pytestmark = pytest.mark.cluster

REQUEST = training.REQUEST | {"epochs": 6, "batch_size": 64}
SETTINGS = {"CHECKPOINT_SECONDS": "0.5", "GRACE_SECONDS": "5"}

Connect = Callable[..., httpx.Client]
Start = Callable[..., ServerProcess]


@pytest.fixture(scope="module")
def in_shares(tmp_path_factory: pytest.TempPathFactory, connect: Connect) -> str:
    """The weights of the run in two shares of this machine, to which nothing happens."""
    folder = tmp_path_factory.mktemp("shares")
    settings = SETTINGS | {"CORES": "2"}
    with ServerProcess(folder / "data", folder / "log", settings) as url, connect(url) as client:
        return weights(client, ended(client, submit(client, REQUEST)))


@pytest.fixture
def on_ray(
    ray_cluster: RayCluster, start: Start, connect: Connect
) -> Iterator[tuple[ServerProcess, httpx.Client]]:
    """A server whose jobs may have two nodes of the cluster."""
    service = start(**ray_cluster.settings(), **SETTINGS, RAY_NODES="2")
    with connect(service.start()) as client:
        yield service, client
        service.stop()


def processes(*words: str) -> list[int]:
    """Return the processes whose command line has all of these words."""
    return [each.pid for each in running() if all(word in each.command for word in words)]


def log(client: httpx.Client, job_id: str) -> str:
    return client.get(f"/v1/training-jobs/{job_id}/log").text


def test_two_nodes_of_a_cluster_end_in_the_bytes_of_two_shares(
    on_ray: tuple[ServerProcess, httpx.Client], in_shares: str, ray_cluster: RayCluster
) -> None:
    _, client = on_ray
    refused = client.post("/v1/training-jobs", json=REQUEST | {"nodes": 3})
    assert refused.status_code == 422
    assert "a job may have 2 of the cluster" in refused.json()["errors"][0]["detail"]
    job_id = submit(client, REQUEST, nodes=2)
    job = ended(client, job_id)
    printed = log(client, job_id)
    assert job["attempt"] == 1, printed
    assert weights(client, job) == in_shares
    assert "all 2 nodes are there" in printed
    assert ray_cluster.token not in printed
    until(lambda: not processes("app.jobs.cluster.member", job_id), "the end of the other node")


def kill_a_node(ray: RayCluster, job_id: str) -> None:
    """Kill the node of the cluster that the worker is not on, and have another one come."""
    (other,) = set(NODES) - {ray.node_of(f"{job_id}-1")}
    ray.kill(other)
    ray.start_node(other)


def kill_a_process(ray: RayCluster, job_id: str) -> None:
    for pid in processes("app.jobs.cluster.member", job_id):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("kill", [kill_a_process, kill_a_node])
def test_a_node_that_is_killed_costs_an_attempt_and_no_byte(
    on_ray: tuple[ServerProcess, httpx.Client],
    in_shares: str,
    ray_cluster: RayCluster,
    kill: Callable[[RayCluster, str], None],
) -> None:
    _, client = on_ray
    job_id = submit(client, REQUEST, nodes=2)
    in_epoch(client, job_id, 3)
    kill(ray_cluster, job_id)
    job = ended(client, job_id)
    assert weights(client, job) == in_shares, log(client, job_id)
    assert job["attempt"] == 2
    ray_cluster.wait_for(HEAD, *NODES)


def test_a_job_over_nodes_saves_itself_when_it_is_stopped(
    on_ray: tuple[ServerProcess, httpx.Client], ray_cluster: RayCluster
) -> None:
    _, client = on_ray
    job_id = submit(client, REQUEST, nodes=2, epochs=100_000)
    in_epoch(client, job_id, 2)
    (worker,) = processes("app.jobs.cluster.node", job_id)
    os.kill(worker, signal.SIGTERM)
    until(lambda: not Path(f"/proc/{worker}").exists(), "the end of the worker", PATIENCE)
    place = f"/v1/training-jobs/{job_id}"
    # until then it is queued: its worker has put it back before it ended
    job = until(lambda: (job := client.get(place).json())["status"] == "running" and job, "another start")
    assert job["attempt"] == 1
    client.post(f"/v1/training-jobs/{job_id}/cancel")
    assert ended(client, job_id)["status"] == "cancelled"
    until(lambda: not processes("app.jobs.cluster", job_id), "the end of all nodes", PATIENCE)
    assert "asked to stop; goes on later" in log(client, job_id)
