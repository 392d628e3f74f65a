"""One of two threads (`pair`) or processes (`halves`) that compute a prediction together, and what runs in the latter.

    python -m engine.fast.serving.half SOCKET FILE

Before each step that sees rows beyond the middle, both leave their outermost rows in memory that both see, count up,
and take the other's once it has counted as far: the maps themselves stay where they are, and there is nothing to wait
for but the other's part of the same step. A line on the socket describes the network, a byte wakes who sleeps; it ends
when the other side closes.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Protocol

import numpy as np

from engine.arrays import Array, Shape
from engine.fast.layout.gemm import Tuning
from engine.fast.layout.places import Call
from engine.fast.parallel.mapped import Counters, Fence, Layout
from engine.fast.parallel.member import readable
from engine.fast.parallel.parts import ShareLost
from engine.fast.plan import Plan
from engine.fast.serving.cut import Cut
from engine.fast.steps.base import Given, Step, placed
from engine.graph.network import Network

_AWAKE_SECONDS = 2e-3
"""How long to look out for the next picture before going to sleep: waking costs a tenth of a millisecond."""
_ASLEEP_SECONDS = 1.0
_MANY_BYTES = 4096


def lay_out(cut: Cut) -> Layout:
    """Return where everything is that the two have in common."""
    layout = Layout()
    for name, spec in cut.half.weight_specs.items():
        layout.add(f"weight {name}", spec.shape)
    for name, shape in common(cut):
        layout.add(name, shape)
    Counters.lay_out(layout, 2)
    for name in ("ready", "called", "asleep"):
        layout.add(name, (1,), np.uint8)
    return layout


def common(cut: Cut) -> Iterator[tuple[str, Shape]]:
    """Yield the arrays that both halves read or write, by name: input, map, and rows that they give each other."""
    height, *rest = cut.half.input_shape
    yield "input", (1, 2 * height, *rest)
    yield "map", (1, *cut.head.input_shape)
    for name, ((_, *row), (above, below)) in cut.halos.items():
        yield f"above {name}", (above, *row)
        yield f"below {name}", (below, *row)


class Meets(Protocol):
    """How a half knows how far the other has come: `Counters` in memory of two processes, locks of two threads."""

    def reach(self, count: int) -> None:
        """Say that all has been written up to here; counts rise one by one."""
        ...

    def wait(self, share: int, count: int) -> None:
        """Wait until the other has come as far.

        Raises:
            ShareLost: it never will.
        """
        ...


class Half:
    """The upper (0) or the lower half (1) of the rows."""

    def __init__(
        self, cut: Cut, tuning: Tuning, arrays: Mapping[str, Array], half: int, meets: Meets
    ) -> None:
        """Get ready, with the arrays of `common` and the weights."""
        self._border = _Border(cut, arrays, half, meets)
        self.plan = Plan(cut.half, 1, tuning, training=False, before=self._border.bind)
        self.plan.prepare({name: arrays[f"weight {name}"] for name in cut.half.weight_specs})
        self._input, self._map = (np.split(arrays[name], 2, axis=1)[half] for name in ("input", "map"))

    def run(self) -> None:
        """Compute this half of the map from this half of the input; both are whole when it returns.

        Raises:
            ShareLost: the other half is gone.
        """
        np.copyto(self._map, self.plan.scores(self._input))
        self._border.cross()


class _Border:
    """Where the halves give each other rows."""

    def __init__(self, cut: Cut, arrays: Mapping[str, Array], half: int, meets: Meets) -> None:
        self._halos, self._arrays, self._half = cut.halos, arrays, half
        self._meets = meets
        self._count = 0

    def bind(self, step: Step, xs: tuple[Given, ...]) -> list[Call]:
        """Return the call that fetches what a step sees of the other half."""
        if step.output not in self._halos:
            return []
        above, below = (self._arrays[f"{side} {step.output}"] for side in ("above", "below"))
        x, margins = placed(xs[0]).maps[0], step.margins[0]
        rows = len(x)
        if self._half == 0:
            given, wanted = (above, x[rows - len(above) :]), below
            missing = margins[len(above) + rows :][: len(below)]
            step.beyond = 0, len(below)
        else:
            given, wanted = (below, x[: len(below)]), above
            missing = margins[: len(above)]
            step.beyond = len(above), 0
        give = partial(np.copyto, *given) if len(given[0]) else None
        take = partial(np.copyto, missing, wanted) if len(wanted) else None
        return [partial(self.cross, give, take)]

    def cross(self, give: Call | None = None, take: Call | None = None) -> None:
        """Give, wait until the other has come as far, and take."""
        if give is not None:
            give()
        self._count += 1
        self._meets.reach(self._count)
        self._meets.wait(1 - self._half, self._count)
        if take is not None:
            take()


def main() -> None:
    """Compute the lower halves of pictures until the other process closes the socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = socket.socket(fileno=int(sys.argv[1]))
    with connection.makefile("rb", buffering=0) as lines:
        document = json.loads(lines.readline())
    cut = Cut(*(Network.from_document(document[name]) for name in ("half", "head")))
    layout = lay_out(cut)
    file = int(sys.argv[2])
    arrays = layout.arrays(mmap.mmap(file, layout.bytes))
    os.close(file)
    half = Half(
        cut,
        Tuning.model_validate(document["tuning"]),
        arrays,
        1,
        Counters(arrays, 1, lambda: _hung_up(connection)),
    )
    arrays["ready"][0] = 1
    with np.errstate(over="ignore", invalid="ignore"), contextlib.suppress(ShareLost):
        number = 1
        while _called(number % 256, arrays, connection):
            half.run()
            number += 1


def _called(number: int, arrays: Mapping[str, Array], connection: socket.socket) -> bool:
    """Wait for the picture that comes next, `number` modulo 256; False if there will be none."""
    called: Any = arrays["called"].data
    asleep: Any = arrays["asleep"].data
    fence = Fence()
    until = time.perf_counter() + _AWAKE_SECONDS
    while called[0] != number:
        if time.perf_counter() < until:
            os.sched_yield()
            continue
        asleep[0] = 1
        fence()
        # the call may have come just before the flag was up: then nobody sends a byte
        if called[0] != number and not readable(connection, _ASLEEP_SECONDS):
            continue
        asleep[0] = 0
        if _hung_up(connection):
            return False
        until = time.perf_counter() + _AWAKE_SECONDS
    fence()
    return True


def _hung_up(connection: socket.socket) -> bool:
    """Read what woke us, or came too late to; tell whether the other side has closed."""
    try:
        while readable(connection):
            if not connection.recv(_MANY_BYTES):
                return True
    except ConnectionError:
        return True
    return False


if __name__ == "__main__":
    main()
