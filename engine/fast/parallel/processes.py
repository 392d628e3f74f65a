"""Shares of a batch as processes over a mapped file: each has an interpreter's lock of its own.

The first share runs here, each other in a process that gets its orders by a line on a socket, and whose
scores, losses and gradients are in the file when it answers. The numbers are those of
`engine.fast.parallel.threads`, to the bit. A process that dies ends the execution: the others are woken, the step
raises ShareLost, and whoever holds a checkpoint goes on from there.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from engine.arrays import Array, Bytes, Weights
from engine.execution.flat import Flat
from engine.execution.protocol import Pass
from engine.fast.parallel.mapped import Meeting, create
from engine.fast.parallel.member import closed, lay_out
from engine.fast.parallel.parts import Cuts, ShareLost, bounds
from engine.fast.parallel.setup import Setup
from engine.fast.parallel.share import Outer, Share, pins, whole
from engine.inputs.batch import Batch
from engine.layers import Context

_ROOT = Path(__file__).parents[3]
_END_SECONDS = 5.0


class ProcessExecution:
    """Runs batches in shares; `close` ends the processes."""

    def __init__(self, setup: Setup, directory: Path | None = None) -> None:
        """Start the processes.

        Raises:
            OSError: there is no room for the mapped file in `directory`, or no process can be started.
        """
        self._tuning, self._pictures = setup.tuning, setup.pictures
        self._own = Share(setup)
        layout = lay_out(setup)
        file = create(layout.bytes, directory)
        try:
            self._arrays = layout.arrays(mmap.mmap(file, layout.bytes))
            document = setup.document()
            self.members: list[Member] = []
            with contextlib.ExitStack() as undo:
                undo.callback(self.close)
                for share in range(1, setup.shares):
                    self.members.append(Member({**document, "share": share}, file))
                undo.pop_all()
        finally:
            os.close(file)
        specs = setup.network.weight_specs
        self._weights = {name: self._arrays[f"weight {name}"] for name in specs}
        self._gradients = [
            Flat(specs, self._arrays[f"gradients {share}"]) for share in range(1, setup.shares)
        ]
        self._meeting = Meeting(self._arrays, 0, lambda: any(member.gone for member in self.members))

    @property
    def pins(self) -> dict[str, str]:
        """The number of shares and what was measured of the machine: kernels and tiles follow from them."""
        return pins(1 + len(self.members), self._tuning)

    def close(self) -> None:
        """End the processes."""
        for member in self.members:
            member.end()
        self.members = []

    def reads(self, pictures: int) -> int:
        """Return how many pictures of a batch are read here: all."""
        return pictures

    def train(self, weights: Weights, batch: Batch, pictures: int, context: Context) -> Pass:
        """Run a batch forwards and backwards.

        Raises:
            ShareLost: a process of a share is gone.
        """
        return whole(
            self.passes(weights, batch, pictures, context, bounds(len(batch), 1 + len(self.members)), None)
        )

    def passes(
        self,
        weights: Weights,
        batch: Batch,
        pictures: int,
        context: Context,
        cuts: Cuts,
        outer: Outer | None,
    ) -> list[Pass]:
        """Run a batch, or a part of one, forwards and backwards; see `ThreadExecution.passes`.

        Raises:
            ShareLost: a process of a share is gone.
        """
        given = {"images": batch.images, "targets": batch.targets, "samples": batch.samples}
        order = {
            "training": True,
            "seed": context.seed,
            "step": context.step,
            "epoch": batch.epoch,
            "pictures": pictures,
            "has_outer": outer is not None,
        }
        reducer = self._meeting.reducer(len(cuts), outer)
        with self._others(weights, given, cuts, order, context.first_sample):
            own = self._own.train(weights, batch.part(*cuts[0]), pictures, context, reducer)
        arrays = self._arrays
        return [own] + [
            Pass(
                arrays["scores"][begin:end],
                arrays["losses"][begin:end],
                gradients,
                {},
                arrays["trained targets"][begin:end],
            )
            for (begin, end), gradients in zip(cuts[1:], self._gradients, strict=False)
        ]

    def scores(self, weights: Weights, images: Bytes, cuts: Cuts | None = None) -> Array:
        """Return the scores of a batch, by default cut into equal parts."""
        cuts = cuts or bounds(len(images), 1 + len(self.members))
        with self._others(weights, {"images": images}, cuts, {"training": False}, 0):
            own = self._own.scores(weights, images[: cuts[0][1]])
        return np.concatenate([own, self._arrays["scores"][cuts[0][1] : len(images)]])

    @contextlib.contextmanager
    def _others(
        self,
        weights: Weights,
        given: dict[str, Array],
        cuts: Cuts,
        order: dict[str, Any],
        first_sample: int,
    ) -> Iterator[None]:
        """Let the processes work on their parts of a batch during what this one does, and wait for them.

        The first fault that is not another's is raised.
        """
        pictures = cuts[-1][1]
        if pictures > self._pictures:
            raise ValueError(f"a batch of {pictures} pictures, where at most {self._pictures} were announced")
        if len(cuts) > 1:
            for name, weight in self._weights.items():
                np.copyto(weight, weights[name])
            for name, array in given.items():
                theirs = slice(cuts[1][0], len(array))
                np.copyto(self._arrays[name][theirs], array[theirs])
        self._meeting.begin()
        working: list[Member] = []
        try:
            for member, (first, last) in zip(self.members, cuts[1:], strict=False):
                part = {"first": first, "last": last, "first_sample": first_sample + first}
                member.send({**order, "shares": len(cuts), **part})
                working.append(member)
            yield
        except BaseException:
            self._meeting.abandon()
            for member in working:
                member.answer()
            raise
        faults = [fault for member in working if (fault := member.answer()) is not None]
        if faults:
            raise next((fault for fault in faults if not isinstance(fault, ShareLost)), faults[0])


class Member:
    """A process that runs a share: `python -m module SOCKET FILE`, which reads the document from the socket."""

    def __init__(
        self, document: dict[str, Any], file: int, module: str = "engine.fast.parallel.member"
    ) -> None:
        self._socket, theirs = socket.socketpair()
        with contextlib.ExitStack() as undo:
            undo.callback(self._socket.close)
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
                    [sys.executable, "-P", "-m", module, str(theirs.fileno()), str(file)],
                    stdin=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(), file),
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(_import_path())},
                )
            self.pid = self._process.pid
            self._lines = self._socket.makefile("rb")
            undo.callback(self.end)
            self.send(document)
            undo.pop_all()

    @property
    def gone(self) -> bool:
        """Whether it has died."""
        return closed(self._socket)

    def send(self, document: dict[str, Any]) -> None:
        """Send a line."""
        try:
            self._socket.sendall(json.dumps(document).encode() + b"\n")
        except ConnectionError as error:
            raise ShareLost(self._death()) from error

    def wake(self) -> None:
        """Send a byte, if none of many that were sent before is unread."""
        with contextlib.suppress(BlockingIOError, ConnectionError):
            self._socket.send(b"\n", socket.MSG_DONTWAIT)

    def answer(self) -> Exception | None:
        """Wait for the answer to a batch and return its fault."""
        try:
            line = self._lines.readline()
        except ConnectionError:
            line = b""
        if not line:
            return ShareLost(self._death())
        fault = json.loads(line).get("fault")
        if fault is None:
            return None
        kind = next(
            (kind for kind in (ShareLost, MemoryError) if fault.startswith(kind.__name__)), RuntimeError
        )
        return kind(f"a share failed: {fault}")

    def end(self) -> None:
        """Make it end, and wait until it has."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._lines.close()
        self._socket.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _death(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)
        return f"the process of a share is gone (exit status {self._process.poll()})"


def _import_path() -> list[str]:
    """Return where the process finds this very package, also in a source tree."""
    given = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    installed = {Path(part) for part in sys.path if part.endswith(("site-packages", "dist-packages"))}
    return given if _ROOT in installed else [str(_ROOT), *given]
