"""With which status processes end that could not do their work, for those who see nothing else of them."""

from __future__ import annotations

from collections.abc import Mapping

from app.errors import DiskFull, StorageUnavailable

PAUSED: Mapping[str, int] = {DiskFull.state: 74, StorageUnavailable.state: 75}
"""That of an attempt that could not write, by the word of what kept it from that; see `StorageFault`."""
REFUSED_STATUS = 76
"""That of a process on a node of a cluster that does not have the versions of the server."""
REFUSED = "refused: "
"""How the line begins that says which it has."""


def refusal(printed: str) -> str:
    """Return how a node differs from the server, by the last line of what was printed there."""
    lines = [line for line in printed.splitlines() if line.startswith(REFUSED)]
    return lines[-1].removeprefix(REFUSED) if lines else "the node has other versions than the server"


def paused_by(status: int | None) -> str | None:
    """Return what kept a process from writing that has ended with a status; None where it was something else."""
    return next((word for word, number in PAUSED.items() if number == status), None)
