"""The first node of a training job starts the others, waits until they have come, and ends them with itself.

The first node is the worker: what the service knows of a job is known by it alone. The others come to a port that is
open until they are in, with a token that was drawn for this attempt, and have no other use.
"""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from app.jobs.heartbeat import Drained, Heartbeat
from app.jobs.nodes.local import LocalNodes
from app.jobs.processes import PLACES_VARIABLE
from app.settings import Settings
from app.store.records import JobRecord
from engine.environment import pins
from engine.fast.nodes.channel import Channel
from engine.fast.nodes.gate import Gate
from engine.fast.parallel.parts import ShareLost

log = logging.getLogger(__name__)

_ROOM_SECONDS = 120.0
"""For how long at least there may be no room for the others until the job goes back to the queue: two jobs that each
wait for what the other has would do so for ever. As much more at most is drawn, so that one gives up first."""
_READY_SECONDS = 3600.0
"""For how long those that have room may get ready: they may have to copy a large data set first."""
_WHY_SECONDS = 3.0
"""For how long a node that says nothing any more is given to end, which tells why."""
_LOOK_SECONDS = 0.25
_MOST_GREETING = 1 << 16


class Places(Protocol):
    """Where the other nodes of a job are."""

    host: str
    """The address of this machine at which they reach it."""

    def start(self, job_id: str, count: int, port: int, token: bytes) -> None:
        """Start so many, or ask for them; they come to the port when they can."""

    def placed(self) -> bool:
        """Tell whether all of them have room, and so have begun or are about to.

        Raises:
            ShareLost: that cannot be told any more.
        """

    def fault(self) -> str | None:
        """Return what became of one that has ended, if one has.

        Raises:
            Invalid: it cannot run there at all, so that another attempt would not either.
            StorageFault: it could not read or write what it needs, and may later.
            ShareLost: that cannot be told any more.
        """

    def close(self) -> None:
        """End those that have not ended."""


@dataclass(frozen=True)
class Nodes:
    """The other nodes of a job.

    Attributes:
        channels: to each of them, in their order.
        pins: what they compute with, where that is not what this one does, and changes bits.
    """

    channels: tuple[Channel, ...] = ()
    pins: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def gathered(job: JobRecord, count: int, cores: int, settings: Settings, beat: Heartbeat) -> Iterator[Nodes]:
    """Hold the other nodes of a job while the context lasts; none for a job of one node.

    Args:
        job: the job.
        count: how many nodes it has, this one among them.
        cores: that each of them may use.
        settings: of this worker.
        beat: called while they are waited for.

    Raises:
        Interrupted: the job should stop, or there is no room for them now.
        ShareLost: one of them has died before it came, or does not come.
        StorageFault: one of them cannot read its pictures now.
        Invalid: a node cannot be one of this job.
    """
    if count == 1:
        yield Nodes()
        return
    with ExitStack() as stack:
        places = _places(job, cores)
        stack.callback(places.close)
        token = secrets.token_bytes(32)
        gate = Gate(places.host, token, count, settings.heartbeat_timeout / 2)
        stack.callback(_close, gate)
        places.start(job.id, count - 1, gate.port, token)
        log.info("waiting for %d other nodes at %s:%d", count - 1, places.host, gate.port)
        _wait(gate, places, beat, job)
        gate.close()
        found = Nodes(tuple(gate.channels), _differences(gate.channels))
        log.info("all %d nodes are there", count)
        try:
            yield found
        except ShareLost:
            _say_why(places)
            raise


def _places(job: JobRecord, cores: int) -> Places:
    if os.environ.get(PLACES_VARIABLE) != "ray":
        return LocalNodes()
    from app.jobs.nodes.on_ray import RayNodes  # noqa: PLC0415 - only there is Ray

    return RayNodes(cores, job.memory_bytes)


def _close(gate: Gate) -> None:
    """End the connections to those that have come, also where others never did, and let nobody else in."""
    gate.close()
    for channel in gate.channels:
        channel.close()


def _wait(gate: Gate, places: Places, beat: Heartbeat, job: JobRecord) -> None:
    began = time.monotonic()
    room_until = began + _ROOM_SECONDS * (1 + secrets.SystemRandom().random())
    ready_until: float | None = None
    while gate.missing:
        beat({**job.progress, "stage": "nodes"})
        gate.look(_LOOK_SECONDS)
        fault = places.fault()
        if fault is not None:
            raise ShareLost(fault)
        now = time.monotonic()
        if ready_until is None and places.placed():
            ready_until = now + _READY_SECONDS
        if not gate.missing:
            return
        if ready_until is None and now >= room_until:
            log.warning("no room for %d nodes after %d s; back to the queue", len(gate.missing), now - began)
            raise Drained
        if ready_until is not None and now >= ready_until:
            raise ShareLost(
                f"{len(gate.missing)} nodes have had room for {_READY_SECONDS:.0f} s and do not come"
            )


def _say_why(places: Places) -> None:
    """Raise what one of the nodes has ended of, if that passes: then the attempt pauses, and has not died.

    Raises:
        StorageFault: it could not read or write what it needs.
    """
    until = time.monotonic() + _WHY_SECONDS
    while places.fault() is None and time.monotonic() < until:
        time.sleep(_LOOK_SECONDS)


def _differences(channels: list[Channel]) -> dict[str, str]:
    """Return what the other nodes compute with that changes bits, where this one has something else."""
    own = pins(1)
    found: dict[str, str] = {}
    for number, channel in enumerate(channels, 2):
        theirs = channel.receive(_MOST_GREETING)["pins"]
        found |= {
            f"node {number}: {name}": str(theirs.get(name)) for name in own if theirs.get(name) != own[name]
        }
    return found
