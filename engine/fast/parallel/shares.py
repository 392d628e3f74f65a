"""A batch in a fixed number of shares: the largest single gain there is.

Each share runs forwards and backwards with a plan of its own and BLAS on one thread, while splitting every
operation loses: a hand-off costs 60 microseconds. The result is that of the whole batch: gradients are summed
in the order of the shares, and batch norm adds its sums over all of them. It is reproducible to the bit for a
given number of shares, by threads or by processes alike. A share that fails takes the step down.

Shares are processes where the system has what they need, for those wait for no interpreter's lock; else threads.
"""

from __future__ import annotations

import os
from pathlib import Path

from engine.fast.parallel.processes import ProcessExecution
from engine.fast.parallel.setup import Setup
from engine.fast.parallel.threads import ThreadExecution

SharedExecution = ProcessExecution | ThreadExecution


def execution(setup: Setup, directory: Path | None = None) -> SharedExecution:
    """Return what runs batches in shares; close it when done.

    Args:
        setup: what it computes.
        directory: where the file goes that processes share, on a system without files in memory.

    Raises:
        OSError: there is no room for what processes share, or none can be started.
    """
    if setup.shares > 1 and os.name == "posix":
        return ProcessExecution(setup, directory)
    return ThreadExecution(setup)
