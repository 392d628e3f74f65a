"""Faults of storage, counted where they are met, and what the parts of the server in the background log of errors."""

from __future__ import annotations

from app.errors import DiskFull, StorageFault, StorageUnavailable
from app.files.faults import reason, storage_fault
from app.log import Log
from app.metrics.families import STORAGE_FAULTS
from app.metrics.metrics import Metrics

_EXPECTED = (
    *(
        (part, kind)
        for part in ("disk", "database")
        for kind in ("full", "read-only", "damaged", "unavailable")
    ),
    *(("object store", kind) for kind in ("full", "unavailable")),
    *(("worker", kind.state) for kind in (DiskFull, StorageUnavailable)),
)


def expect_faults(metrics: Metrics) -> None:
    """Show the series of faults with 0: Prometheus sees no increase in one that begins with its first fault."""
    for part, kind in _EXPECTED:
        metrics.counter(STORAGE_FAULTS, part, kind)


def count_fault(metrics: Metrics, error: BaseException) -> StorageFault | None:
    """Count an error if it is about storage, and return what it says of that; see `app.files.faults.storage_fault`."""
    fault = storage_fault(error)
    if fault is not None:
        metrics.counter(STORAGE_FAULTS, fault.part, fault.kind).add()
    return fault


def report(
    metrics: Metrics, log: Log, event: str, error: Exception, *, again: bool = False
) -> StorageFault | None:
    """Count and log what a part of the server has met that goes on and tries again; return a fault of storage.

    Args:
        metrics: where it is counted.
        log: of that part.
        event: what has happened.
        error: what was raised; the trace of one that nobody expected is logged as well.
        again: whether the try before met a fault of storage, too: another one is counted and not logged.
    """
    fault = count_fault(metrics, error)
    if fault is None:
        log.exception(event)
    elif not again:
        log.warning(event, code=fault.code, error=reason(error))
    return fault
