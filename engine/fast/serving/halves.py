"""A prediction of one picture by two processes, each of which computes half of the rows of every map.

A picture cannot be split as a batch is, and an operation that is split waits for its threads to wake. So a second
process computes the whole network as this one does, only for the lower rows (`cut`), and both are never further apart
than one step (`half`). What cannot be split is computed here. It takes two cores while it runs: that is for those
who want an answer soon rather than many of them.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import time

import numpy as np

from engine.arrays import Array, Weights
from engine.fast.layout.gemm import Tuning
from engine.fast.parallel.mapped import Counters, Fence, create
from engine.fast.parallel.parts import ShareLost
from engine.fast.parallel.processes import Member
from engine.fast.plan import Plan
from engine.fast.serving.cut import Cut
from engine.fast.serving.half import Half, lay_out

_PATIENCE_SECONDS = 10.0
"""How long an answer may take: one of the two may be stopped, or hang."""


class Halves:
    """A network that runs one picture at a time; `close` ends the other process."""

    def __init__(self, cut: Cut, weights: Weights, tuning: Tuning) -> None:
        """Start the other process.

        Raises:
            OSError: there is no room for the mapped file, or no process can be started.
            ShareLost: the process died at once.
        """
        layout = lay_out(cut)
        file = create(layout.bytes)
        try:
            arrays = self._arrays = layout.arrays(mmap.mmap(file, layout.bytes))
            for name in cut.half.weight_specs:
                np.copyto(arrays[f"weight {name}"], weights[name])
            document = {
                "half": cut.half.document(),
                "head": cut.head.document(),
                "tuning": tuning.model_dump(),
            }
            member = self.member = Member(document, file, "engine.fast.serving.half")
        finally:
            os.close(file)
        until = self._until = np.zeros(1)
        with contextlib.ExitStack() as undo:
            undo.callback(self.close)
            counters = Counters(arrays, 0, lambda: member.gone or time.monotonic() > until[0])
            self._half = Half(cut, tuning, arrays, 0, counters)
            self._head = Plan(cut.head, 1, tuning, training=False)
            self._head.prepare(weights)
            undo.pop_all()
        self._called = 0
        self._fence = Fence()

    @property
    def ready(self) -> bool:
        """Whether the other process has started.

        Raises:
            ShareLost: it never will.
        """
        if not self._arrays["ready"][0] and self.member.gone:
            raise ShareLost("the process of the lower rows did not start")
        return bool(self._arrays["ready"][0])

    def scores(self, x: Array) -> Array:
        """Return the scores (1, K) of a preprocessed picture (1, H, W, C), valid until the next call.

        Raises:
            ShareLost: the other process is gone, or does not go on.
        """
        if self.member.gone:
            raise ShareLost("the process of the lower rows is gone")
        self._until[0] = time.monotonic() + _PATIENCE_SECONDS
        np.copyto(self._arrays["input"], x)
        self._called = (self._called + 1) % 256
        self._fence()
        self._arrays["called"][0] = self._called
        self._fence()
        if self._arrays["asleep"][0]:
            self.member.wake()
        self._half.run()
        return self._head.scores(self._arrays["map"])

    def close(self) -> None:
        """End the other process."""
        self.member.end()
