"""What a job is expected to need of memory is held against what its worker takes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from app.builtin.digits import DIGITS_CLASSES, DIGITS_SHAPE
from app.errors import Invalid
from app.files.locks import is_locked, read_holder
from app.jobs.accept.memory_limit import check_memory
from app.jobs.requests import TrainingRequest
from app.states import JobStatus
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.presets import find
from engine.recipe.optimizers import SGD
from tests.jobs.service import PATIENCE, SMALL_NETWORK, Service, anonymous

MOST = 2.0
"""How many times what is taken an estimate may be; less than what is taken it may not."""


def architecture(name: str) -> Architecture:
    preset = find(name)
    if preset is None:
        return Architecture.model_validate(SMALL_NETWORK)
    return preset.architecture(DIGITS_SHAPE, len(DIGITS_CLASSES))


def children(pid: int) -> list[int]:
    """Return the processes that one has started, none once it is gone."""
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux shows it")
@pytest.mark.parametrize(
    ("name", "batch", "nodes"),
    [
        ("small", 16, 1),
        pytest.param("lenet-5", 256, 1, marks=pytest.mark.slow),
        pytest.param("vgg-small", 128, 1, marks=pytest.mark.slow),
        pytest.param("lenet-5", 256, 2, marks=pytest.mark.slow),
        pytest.param("vgg-small", 128, 2, marks=pytest.mark.slow),
    ],
)
def test_a_worker_takes_what_was_expected_with_its_nodes(
    service: Service, name: str, batch: int, nodes: int
) -> None:
    job_id = service.train(epochs=2, batch_size=batch, architecture=architecture(name), nodes=nodes)
    service.run(cores=nodes)
    limit = time.monotonic() + PATIENCE
    most = 0
    while not service.job(job_id).status.finished:
        assert time.monotonic() < limit
        lock = service.lock(job_id)
        if lock.exists() and is_locked(lock) and (pid := read_holder(lock)):
            for _ in range(20):
                most = max(most, sum(map(anonymous, (pid, *children(pid)))))
                time.sleep(0.005)
    job = service.job(job_id)
    assert job.status is JobStatus.SUCCEEDED, job.error
    request = TrainingRequest.model_validate(job.request)
    expected = check_memory(
        Network.build(request.architecture),
        request.config,
        service.store.datasets.get(request.dataset),
        service.settings(cores=nodes),
        nodes,
    )
    print(f"{name}: {most / 1e6:.0f} MB taken, {expected / 1e6:.0f} MB expected")  # noqa: T201
    assert 0 < most <= expected <= MOST * most


@pytest.mark.parametrize(("shares", "nodes"), [(1, 1), (4, 1), (4, 2)])
def test_the_batch_that_is_said_to_fit_fits(service: Service, shares: int, nodes: int) -> None:
    job = service.job(service.train(batch_size=256, architecture=architecture("vgg-small")))
    request = TrainingRequest.model_validate(job.request)
    network = Network.build(request.architecture)
    dataset = service.store.datasets.get(request.dataset)
    settings = service.settings(cores=shares)
    needed = check_memory(network, request.config, dataset, settings, nodes)
    smaller = settings.model_copy(update={"max_training_bytes": needed * 3 // 4})
    with pytest.raises(Invalid, match="batch_size of") as caught:
        check_memory(network, request.config, dataset, smaller, nodes)
    assert caught.value.numbers is not None
    fits = caught.value.numbers["largest_batch_size"]
    assert fits is not None
    assert 1 <= fits < 256
    fitting = request.config.model_copy(update={"batch_size": fits})
    assert check_memory(network, fitting, dataset, smaller, nodes) <= smaller.max_training_bytes
    none = settings.model_copy(update={"max_training_bytes": 1 << 20})
    with pytest.raises(Invalid) as hopeless:
        check_memory(network, request.config, dataset, none, nodes)
    assert "no batch_size fits" in hopeless.value.message


def test_optimizers_and_averages_are_counted(service: Service) -> None:
    def needed(**changes: object) -> int:
        request = TrainingRequest.model_validate(service.job(service.train(**changes)).request)
        network = Network.build(request.architecture)
        dataset = service.store.datasets.get(request.dataset)
        return check_memory(network, request.config, dataset, service.settings())

    plain = needed(optimizer=SGD(momentum=0.0))
    assert plain < needed(optimizer=SGD()) < needed() < needed(weight_average={"decay": 0.9})
