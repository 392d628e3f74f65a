"""A share of a batch as a process: `python -m engine.fast.parallel.member SOCKET FILE`, started by `processes`.

Its first line describes the network; every line after that is a batch, answered by a line when its pass is
in the mapped file. It ends when the other side of the socket closes, however that comes.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import select
import signal
import socket
import sys
from typing import Any

import numpy as np

from engine.arrays import Array
from engine.execution.flat import Flat, size
from engine.fast.parallel.mapped import Layout, Meeting
from engine.fast.parallel.setup import Setup
from engine.fast.parallel.share import Share, total
from engine.inputs.batch import Batch
from engine.layers import Context


def lay_out(setup: Setup) -> Layout:
    """Return where everything is that the shares have in common."""
    layout = Layout()
    network, pictures = setup.network, setup.pictures
    specs = network.weight_specs
    for name, spec in specs.items():
        layout.add(f"weight {name}", spec.shape)
    given = pictures + setup.preparation.partners
    layout.add("images", (given, *network.input_shape), setup.preparation.stored)
    layout.add("targets", (given, *network.output_shape))
    layout.add("samples", (given,), np.int64)
    layout.add("trained targets", (pictures, *network.output_shape))
    layout.add("scores", (pictures, *network.output_shape))
    layout.add("losses", (pictures,))
    for share in range(1, setup.shares):
        layout.add(f"gradients {share}", (size(specs),))
    Meeting.lay_out(layout, setup.shares)
    return layout


def main() -> None:
    """Serve one execution."""
    # whoever has started it ends it: signals for all processes of a job are meant for that one
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    connection = socket.socket(fileno=int(sys.argv[1]))
    lines = connection.makefile("rb")
    document = json.loads(lines.readline())
    setup, number = Setup.of(document), document["share"]
    specs = setup.network.weight_specs
    layout = lay_out(setup)
    file = int(sys.argv[2])
    arrays = layout.arrays(mmap.mmap(file, layout.bytes))
    os.close(file)
    gradients = Flat(specs, arrays[f"gradients {number}"])
    share = Share(setup, gradients)
    weights = {name: arrays[f"weight {name}"] for name in specs}
    meeting = Meeting(arrays, number, lambda: closed(connection))
    member = _Member(share, weights, arrays, meeting, setup.preparation.partners)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        while line := lines.readline():
            connection.sendall(json.dumps(member.answer(json.loads(line))).encode() + b"\n")


def closed(connection: socket.socket) -> bool:
    """Tell whether the process on the other side is gone."""
    if not readable(connection):
        return False
    try:
        return not connection.recv(1, socket.MSG_PEEK)
    except ConnectionError:
        return True


def readable(connection: socket.socket, seconds: float = 0) -> bool:
    """Wait so long at most for something to read, or for its end; `select` would know descriptors up to 1023 only."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(1000 * seconds))


class _Member:
    """Does what the lines say."""

    def __init__(
        self,
        share: Share,
        weights: dict[str, Array],
        arrays: dict[str, Array],
        meeting: Meeting,
        partners: int,
    ) -> None:
        self._share, self._partners = share, partners
        self._weights, self._arrays, self._meeting = weights, arrays, meeting

    def answer(self, batch: dict[str, Any]) -> dict[str, str]:
        """Run a batch; an empty answer says that all went well."""
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # the caller looks at the sums
                self._run(batch)
        except BaseException as fault:
            self._meeting.abandon()
            return {"fault": f"{type(fault).__name__}: {fault}"}
        return {}

    def _run(self, batch: dict[str, Any]) -> None:
        arrays, part = self._arrays, slice(batch["first"], batch["last"])
        if not batch["training"]:
            arrays["scores"][part] = self._share.scores(self._weights, arrays["images"][part])
            return
        context = Context(
            statistics="batch",
            records=True,
            seed=batch["seed"],
            step=batch["step"],
            first_sample=batch["first_sample"],
        )
        # of what adds up elsewhere it is enough to know here that there is something: the first share calls it
        reducer = self._meeting.reducer(batch["shares"], total if batch["has_outer"] else None)
        given = slice(batch["first"], batch["last"] + self._partners)
        pictures = Batch(
            arrays["images"][given],
            arrays["targets"][given],
            arrays["samples"][given],
            batch["epoch"],
            one_class=False,
            partners=self._partners,
        )
        done = self._share.train(self._weights, pictures, batch["pictures"], context, reducer)
        arrays["scores"][part] = done.scores
        arrays["losses"][part] = done.losses
        arrays["trained targets"][part] = done.targets


if __name__ == "__main__":
    main()
