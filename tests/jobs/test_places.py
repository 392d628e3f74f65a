"""What the places of other nodes can do to a job: a cluster that fails it, is full, or cannot read its pictures."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from app.errors import DiskFull, StorageUnavailable
from app.jobs.exits import PAUSED
from app.jobs.heartbeat import Drained, Heartbeat
from app.jobs.kinds import TRAINING
from app.jobs.nodes import gathering
from app.jobs.nodes.gathering import gathered
from app.jobs.nodes.local import LocalNodes
from app.jobs.processes import PLACES_VARIABLE
from app.store.database import DATABASE_NAME
from app.store.records import JobRecord
from engine.environment import pins
from engine.fast.nodes.channel import Channel
from engine.fast.nodes.gate import join
from engine.fast.parallel.parts import ShareLost
from tests.jobs.service import Service, until


class Cluster(ModuleType):
    """As much of Ray's library as is used, with what happens to the one actor said by the test."""

    def __init__(self) -> None:
        super().__init__("ray")
        self.exceptions = SimpleNamespace(RayError=RuntimeError)
        self.util = SimpleNamespace(
            get_node_ip_address=lambda: "127.0.0.1",
            placement_group=lambda bundles, strategy: self.raised("placement_group"),
            remove_placement_group=lambda group: self.raised("remove_placement_group"),
            scheduling_strategies=SimpleNamespace(PlacementGroupSchedulingStrategy=dict),
        )
        self.faults: dict[str, Exception] = {}
        self.placed = True
        self.status: int | None = None
        """That the process of the node has ended with."""
        self.at_init: Callable[[], object] = lambda: None
        self.came: Callable[[list[str], bytes], object] = lambda arguments, token: None

    def raised(self, name: str) -> None:
        if name in self.faults:
            raise self.faults[name]

    def init(self, **_: object) -> None:
        self.raised("init")
        self.at_init()

    def shutdown(self) -> None:
        self.raised("shutdown")

    def remote(self, kind: type) -> Any:
        run = SimpleNamespace(remote=lambda arguments, token: self.came(arguments, token) or "run")
        actor = SimpleNamespace(here=SimpleNamespace(remote=lambda: "here"), run=run)
        options = SimpleNamespace(remote=lambda: actor)
        return SimpleNamespace(options=lambda **_: options)

    def wait(self, waited: list[str], num_returns: int, timeout: float) -> tuple[list[str], list[str]]:
        self.raised("wait")
        over = {"here": self.placed, "run": self.status is not None}
        return [one for one in waited if over[one]], [one for one in waited if not over[one]]

    def get(self, ref: str) -> tuple[int | None, str]:
        return self.status, "printed"


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    ray = Cluster()
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setitem(sys.modules, "ray.util", ray.util)
    monkeypatch.setitem(sys.modules, "ray.util.scheduling_strategies", ray.util.scheduling_strategies)
    monkeypatch.setenv(PLACES_VARIABLE, "ray")
    return ray


@pytest.fixture
def job(service: Service) -> JobRecord:
    service.train(nodes=2)
    found = service.store.jobs.claim_next([TRAINING.name])
    assert found is not None
    return found


@pytest.fixture
def coming(cluster: Cluster) -> Iterator[list[Channel]]:
    """Let the other node come, as soon as there is an actor for it."""
    inside: list[Channel] = []
    threads = []

    def come(arguments: list[str], token: bytes) -> None:
        def go() -> None:
            channel = join(arguments[2], int(arguments[3]), token, 1, 30.0)
            channel.send({"pins": pins(1)})
            inside.append(channel)

        threads.append(threading.Thread(target=go))
        threads[-1].start()

    cluster.came = come
    yield inside
    for thread in threads:
        thread.join()
    for channel in inside:
        channel.close()


def gather(service: Service, job: JobRecord, then: Callable[[], object] = lambda: None) -> None:
    beat = Heartbeat(service.store, job.id, job.attempt)
    with gathered(job, 2, 1, service.settings(), beat):
        then()


@pytest.mark.parametrize(
    ("where", "error"),
    [
        ("init", ConnectionError("no cluster is found")),
        ("placement_group", ValueError("Ray does not like it")),
        ("wait", RuntimeError("the head is gone")),
    ],
)
def test_a_cluster_that_fails_costs_an_attempt_and_not_the_job(
    service: Service, job: JobRecord, cluster: Cluster, where: str, error: Exception
) -> None:
    cluster.faults[where] = error
    with pytest.raises(ShareLost, match=str(error)):
        gather(service, job)


def test_a_cluster_that_fails_at_the_end_changes_nothing(
    service: Service, job: JobRecord, cluster: Cluster, coming: list[Channel]
) -> None:
    def break_down() -> None:
        for name in ("wait", "remove_placement_group", "shutdown"):
            cluster.faults[name] = RuntimeError("the head is gone")

    gather(service, job, break_down)


def test_a_signal_that_comes_while_ray_is_joined_is_heard(
    service: Service, job: JobRecord, cluster: Cluster, coming: list[Channel]
) -> None:
    heard: list[str] = []

    def take_the_signal() -> None:
        # as Ray does
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, lambda number, frame: heard.append("ray"))
        os.kill(os.getpid(), signal.SIGTERM)

    cluster.at_init = take_the_signal
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append("worker"))
    try:
        gather(service, job)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == ["worker"]


def test_nodes_that_have_room_may_take_their_time(
    service: Service, job: JobRecord, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "_ROOM_SECONDS", 0.0)
    cluster.placed = False
    with pytest.raises(Drained):
        gather(service, job)
    assert service.job(job.id).progress["stage"] == "nodes"
    cluster.placed = True
    monkeypatch.setattr(gathering, "_READY_SECONDS", 0.0)
    with pytest.raises(ShareLost, match="have had room"):
        gather(service, job)


@pytest.mark.parametrize("kind", [DiskFull, StorageUnavailable])
def test_what_keeps_a_node_from_its_pictures_pauses_the_job(
    service: Service, job: JobRecord, cluster: Cluster, kind: type[DiskFull | StorageUnavailable]
) -> None:
    cluster.status = PAUSED[kind.state]
    with pytest.raises(kind):
        gather(service, job)


def test_so_does_what_ends_a_node_on_the_way(
    service: Service, job: JobRecord, cluster: Cluster, coming: list[Channel]
) -> None:
    def lose(status: int) -> None:
        cluster.status = status
        raise ShareLost("node 2 is gone")

    with pytest.raises(StorageUnavailable):
        gather(service, job, lambda: lose(PAUSED[StorageUnavailable.state]))


def test_and_a_node_that_just_dies_does_not(
    service: Service, job: JobRecord, cluster: Cluster, coming: list[Channel]
) -> None:
    def lose() -> None:
        cluster.status = -signal.SIGKILL
        raise ShareLost("node 2 is gone")

    with pytest.raises(ShareLost):
        gather(service, job, lose)


def test_those_who_have_come_are_let_go_of_when_others_do_not(
    service: Service, job: JobRecord, cluster: Cluster, coming: list[Channel]
) -> None:
    beat = Heartbeat(service.store, job.id, job.attempt)
    cluster.status = None

    def give_up() -> None:
        with gathered(job, 3, 1, service.settings(), beat):
            pytest.fail("the third node never comes")

    come, cluster.came = cluster.came, lambda arguments, token: None

    def first(arguments: list[str], token: bytes) -> None:
        if arguments[1] == "1":
            come(arguments, token)
        else:
            threading.Thread(target=lambda: until(lambda: coming, "the second") and beat.drain()).start()

    cluster.came = first
    with pytest.raises(Drained):
        give_up()
    with pytest.raises(ShareLost, match="the first node is gone"):
        coming[0].receive()


@pytest.mark.slow
def test_a_node_of_this_machine_that_cannot_use_the_database_says_so(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere" / DATABASE_NAME).mkdir(parents=True)
    for name, value in service.settings(data_dir=tmp_path / "elsewhere").environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    with closing(LocalNodes()) as nodes:
        nodes.start("job_any", 1, 1, bytes(32))
        with pytest.raises(StorageUnavailable):
            until(nodes.fault, "its end")
