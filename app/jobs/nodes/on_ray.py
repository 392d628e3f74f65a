"""The other nodes of a training job on those of a Ray cluster; the only one that knows the library.

Ray keeps room for them, all or none (a placement group), and an actor in each starts the process that is the node. What
is said to actors, and what they answer, is text, numbers and bytes; the nodes themselves talk over connections of our
own. Nothing of it is called but by the worker that is the first node, inside of a Ray job.
"""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from app.errors import Invalid
from app.jobs.exits import REFUSED_STATUS, pause_of, refusal
from app.jobs.launcher import LEFT_CORES
from app.jobs.nodes.local import hand_over
from engine.fast.parallel.parts import ShareLost

log = logging.getLogger(__name__)

MODULE = "app.jobs.cluster.member"
"""What an actor runs: it holds its versions against those of the server, and becomes a node."""
_LINES = 200
"""Of what a process prints the last ones are kept: the first node adds them to the log of the job."""
_END_SECONDS = 5.0


class Place:
    """An actor: room on a node of the cluster, and the process in it."""

    def here(self) -> str:
        """Return the name of the node; whoever gets that answer knows that there is room."""
        return socket.gethostname()

    def run(self, arguments: list[str], token: bytes) -> tuple[int, str]:
        """Run a node of a job, and return the exit status of its process, and what it has printed at last."""
        words = [sys.executable, "-P", "-m", MODULE, *arguments]
        printed: deque[bytes] = deque(maxlen=_LINES)
        with subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            hand_over(process, token)
            if process.stdout is not None:
                printed.extend(process.stdout)
            status = process.wait()
        return status, b"".join(printed).decode(errors="replace")


class RayNodes:
    """Nodes on a Ray cluster, each with so many cores and bytes of memory."""

    def __init__(self, cores: int, memory: int | None) -> None:
        """Connect to the cluster that this process is a job of.

        Raises:
            ShareLost: it cannot be reached.
        """
        with _lost():
            import ray  # noqa: PLC0415 - takes a second, and only here is it wanted

            self._ray: Any = ray
            self._connect()
            self.host: str = ray.util.get_node_ip_address()
        self._room: dict[str, float] = {"CPU": cores - LEFT_CORES}
        if memory is not None:
            self._room["memory"] = memory
        self._group: Any = None
        self._runs: dict[Any, int] = {}
        self._waiting: list[Any] = []
        """Of the answers of actors that they are there, those that have not come."""

    def _connect(self) -> None:
        """Connect, in a thread: in the main one Ray takes the signal by which this process is asked to save itself."""
        with ThreadPoolExecutor(1) as thread:
            thread.submit(
                self._ray.init, address="auto", logging_level=logging.WARNING, log_to_driver=False
            ).result()

    def start(self, job_id: str, count: int, port: int, token: bytes) -> None:
        """Ask for room for so many; each starts when there is room for all.

        Raises:
            ShareLost: the cluster does not answer, or not with that.
        """
        with _lost():
            from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy  # noqa: PLC0415

            ray = self._ray
            self._group = ray.util.placement_group([self._room] * count, strategy="SPREAD")
            kind = ray.remote(Place)
            for number in range(1, count + 1):
                place = PlacementGroupSchedulingStrategy(
                    placement_group=self._group, placement_group_bundle_index=number - 1
                )
                actor = kind.options(
                    num_cpus=self._room["CPU"],
                    memory=self._room.get("memory"),
                    max_restarts=0,
                    scheduling_strategy=place,
                ).remote()
                self._waiting.append(actor.here.remote())
                run = actor.run.remote([job_id, str(number), self.host, str(port)], token)
                self._runs[run] = number

    def placed(self) -> bool:
        """Tell whether there is room for all of them.

        Raises:
            ShareLost: the cluster does not answer.
        """
        if self._waiting:
            with _lost():
                _, self._waiting = self._ray.wait(self._waiting, num_returns=len(self._waiting), timeout=0)
        return not self._waiting

    def fault(self) -> str | None:
        """Return what became of one that has ended, if one has.

        Raises:
            Invalid: it has other versions than the server.
            StorageFault: it could not read or write what it needs, and may later.
            ShareLost: the cluster does not answer.
        """
        with _lost():
            ended = self._ended(0)
        for name, status, printed in ended:
            if status == REFUSED_STATUS:
                raise Invalid(refusal(printed), code="node-refused")
            pause = pause_of(status, name)
            if pause is not None:
                raise pause
        for name, status, _ in ended:
            what = "is gone" if status is None else f"has ended with status {status}"
            return f"{name} {what} before it came"
        return None

    def close(self) -> None:
        """Add what they have printed to the log, give their room back, which ends those that hang, and leave.

        What Ray says to that changes nothing about what the job has come to.
        """
        for step in (lambda: self._ended(_END_SECONDS), self._give_back, self._ray.shutdown):
            try:
                step()
            except Exception:
                log.exception("while leaving the cluster")

    def _give_back(self) -> None:
        if self._group is not None:
            self._ray.util.remove_placement_group(self._group)

    def _ended(self, seconds: float) -> list[tuple[str, int | None, str]]:
        """Wait so long for the end of all, and return name, exit status and last lines of those that have ended."""
        ray, found = self._ray, []
        if not self._runs:
            return []
        ended, _ = ray.wait(list(self._runs), num_returns=len(self._runs), timeout=seconds)
        for run in ended:
            name = f"node {self._runs.pop(run) + 1}"
            try:
                status, printed = ray.get(run)
            except ray.exceptions.RayError as error:
                status, printed = None, str(error)
            log.info("%s printed:\n%s", name, printed.rstrip())
            found.append((name, status, printed))
        return found


@contextmanager
def _lost() -> Iterator[None]:
    """Take whatever Ray raises for the loss of what it was asked for: another attempt may have it.

    It raises errors of its own, and of the system, its transport and its own arguments. None of them says that the job
    is at fault.
    """
    try:
        yield
    except Exception as error:
        raise ShareLost(f"Ray cannot be used: {type(error).__name__}: {error}") from error
