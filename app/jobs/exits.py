"""With which status processes end that could not do their work, for those who see nothing else of them."""

from __future__ import annotations

from collections.abc import Mapping

from app.errors import DiskFull, StorageFault, StorageUnavailable

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


def pause_of(status: int | None, name: str) -> StorageFault | None:
    """Return what kept a process from writing as the fault of whoever waits for it; see `paused_by`.

    Args:
        status: that it has ended with.
        name: what messages call it.
    """
    word = paused_by(status)
    return None if word is None else pause(word, name)


def pause(word: str, name: str) -> StorageFault:
    """Return the fault of whoever waits for a process that cannot read or write, by the word of that."""
    if word == DiskFull.state:
        return DiskFull(f"{name} has no room left on its disk or in the object store")
    return StorageUnavailable(f"{name} cannot use the files or the database now")
