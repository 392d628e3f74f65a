"""Training jobs over several nodes of this machine: the bytes of as many shares, whatever dies on the way."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from app.jobs.heartbeat import Heartbeat
from app.jobs.kinds import TRAINING
from app.jobs.nodes.local import LocalNodes
from app.jobs.processes import CORES_VARIABLE
from app.states import JobStatus
from app.store.records import JobRecord
from engine.presets.lenet import LENET_5
from tests.jobs.service import DATASET, Service, new_service, until
from tests.processes import running

EPOCHS = 4
STEPS = 16
Outcome = tuple[str, list[dict[str, object]]]


def outcome(service: Service, job: JobRecord) -> Outcome:
    """Return what must not depend on where shares are: the bytes of the model, and the figures but for times."""
    assert job.status is JobStatus.SUCCEEDED, service.log(job.id, job.attempt)
    assert job.model_id is not None
    figures = [
        {name: value for name, value in row.items() if name != "seconds"}
        for row in service.store.jobs.metrics(job.id)
    ]
    return service.store.models.get(job.model_id).sha256, figures


def others(worker: int) -> list[int]:
    """Return the processes of the other nodes that a worker has started, as far as they run."""
    return [
        process.pid
        for process in running()
        if process.parent == worker and "app.jobs.nodes.member" in process.command
    ]


def other_node(service: Service, job_id: str) -> int:
    """Wait until the other node of a job computes, and return its process."""
    service.wait_mid_epoch(job_id, STEPS)
    (found,) = others(service.worker(job_id))
    return found


@pytest.fixture(scope="module")
def in_shares(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """The outcomes of two runs in two shares, on one node."""
    with new_service(tmp_path_factory.mktemp("shares")) as service:
        small, lenet = (
            service.train(epochs=EPOCHS),
            service.train(epochs=1, architecture=LENET_5.architecture()),
        )
        service.run(cores=2)
        return {
            "small": outcome(service, service.wait_end(small)),
            "lenet": outcome(service, service.wait_end(lenet)),
        }


@pytest.mark.slow
def test_two_nodes_end_in_the_bytes_of_two_shares(service: Service, in_shares: dict[str, Outcome]) -> None:
    small = service.train(epochs=EPOCHS, nodes=2)
    lenet = service.train(epochs=1, architecture=LENET_5.architecture(), nodes=2)
    service.run(cores=2)
    assert outcome(service, service.wait_end(small)) == in_shares["small"]
    assert outcome(service, service.wait_end(lenet)) == in_shares["lenet"]
    assert "node 2 of 2" in service.log(small, 1)
    assert service.job(small).checkpoint is not None
    assert service.job(small).progress["exact_resume"]


@pytest.mark.slow
def test_a_job_whose_node_is_killed_goes_on_from_its_checkpoint(
    service: Service, in_shares: dict[str, Outcome]
) -> None:
    job_id = service.train(epochs=EPOCHS, nodes=2)
    service.run(cores=2)
    os.kill(other_node(service, job_id), signal.SIGKILL)
    job = service.wait_end(job_id)
    assert outcome(service, job) == in_shares["small"]
    assert job.attempt == 2
    assert "node 2 is gone" in service.log(job_id, 1)
    assert "from step 0" not in service.log(job_id, 2)


@pytest.mark.slow
def test_a_job_whose_worker_is_killed_leaves_no_node_behind(
    service: Service, in_shares: dict[str, Outcome]
) -> None:
    job_id = service.train(epochs=EPOCHS, nodes=2)
    service.run(cores=2)
    node = other_node(service, job_id)
    os.kill(service.worker(job_id), signal.SIGKILL)
    until(lambda: not Path(f"/proc/{node}").exists(), "the end of the other node")
    assert outcome(service, service.wait_end(job_id)) == in_shares["small"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills the children of who dies")
def test_a_node_that_is_frozen_does_not_outlive_its_worker(service: Service) -> None:
    job_id = service.train(nodes=2)
    service.run(cores=2)
    node = other_node(service, job_id)
    os.kill(node, signal.SIGSTOP)
    os.kill(service.worker(job_id), signal.SIGKILL)
    until(lambda: not Path(f"/proc/{node}").exists(), "the end of the other node")
    service.store.jobs.request_cancel(job_id)


@pytest.mark.slow
def test_a_node_that_is_frozen_is_found_before_the_worker_counts_as_hung(
    service: Service, in_shares: dict[str, Outcome]
) -> None:
    job_id = service.train(epochs=EPOCHS, nodes=2)
    service.run(cores=2, heartbeat_timeout=8.0)
    os.kill(other_node(service, job_id), signal.SIGSTOP)
    job = service.wait_end(job_id)
    assert outcome(service, job) == in_shares["small"]
    assert "node 2 gave no sign of life for 4" in service.log(job_id, 1)


@pytest.mark.slow
def test_a_job_over_nodes_that_is_stopped_goes_on_later(
    service: Service, in_shares: dict[str, Outcome]
) -> None:
    job_id = service.train(epochs=EPOCHS, nodes=2)
    runner = service.run(cores=2)
    other_node(service, job_id)
    runner.stop(60.0)
    assert service.job(job_id).status is JobStatus.QUEUED
    service.run(cores=2)
    job = service.wait_end(job_id)
    assert outcome(service, job) == in_shares["small"]
    assert job.attempt == 1


@pytest.mark.slow
def test_a_job_that_is_cancelled_ends_its_nodes(service: Service) -> None:
    job_id = service.train(nodes=2)
    service.run(cores=2)
    node = other_node(service, job_id)
    service.store.jobs.request_cancel(job_id)
    assert service.wait_end(job_id).status is JobStatus.CANCELLED
    until(lambda: not Path(f"/proc/{node}").exists(), "the end of the other node")


def test_what_is_wrong_with_a_job_is_said_before_other_nodes_are_started(service: Service) -> None:
    job_id = service.train(nodes=2)
    (segment,) = service.store.datasets.find_segments(DATASET)
    service.artifacts.local_path(f"{segment.path}/images.npy").unlink()
    service.run(cores=2)
    job = service.wait_end(job_id)
    assert (job.status, job.attempt) == (JobStatus.FAILED, 1)
    assert job.error is not None
    assert "images.npy is missing" in job.error["message"]
    assert "waiting for 1 other" not in service.log(job_id, 1)


def test_a_node_that_dies_before_it_came_is_found(
    service: Service, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, value in service.settings().environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    nodes = LocalNodes()
    nodes.start("job_gone", 1, 1, bytes(32))
    try:
        assert until(nodes.fault, "its end") == "node 2 has ended with status 1 before it came"
    finally:
        nodes.close()
    assert "job_gone" in capfd.readouterr().err


def test_a_job_over_two_nodes_becomes_a_model(
    service: Service, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """In short: this process is the first node."""
    for name, value in service.settings().environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setenv(CORES_VARIABLE, "1")
    job_id = service.train(epochs=1, nodes=2)
    job = service.store.jobs.claim_next([TRAINING.name])
    assert job is not None
    beat = Heartbeat(service.store, job_id, job.attempt)
    TRAINING.load_work()(job, service.store, service.artifacts, service.settings(), beat)
    assert service.job(job_id).status is JobStatus.SUCCEEDED
    assert "node 2 of 2" in capfd.readouterr().err
