"""The size of the data directory, held against what it may be.

One process measures now and then, and leaves in the database what it found; between two measurements the rows say what
has come and gone. So a check costs every process two short queries, and nobody waits while all files are counted.
"""

from __future__ import annotations

from app.errors import StorageFull
from app.files.artifacts import Artifacts
from app.settings import Settings
from app.store import Store
from app.store.records import UsageRecord


def measure(store: Store, artifacts: Artifacts, settings: Settings) -> None:
    """Measure the data directory, if its size is bounded."""
    if settings.max_data_bytes is not None:
        # The rows first: what comes meanwhile is counted twice rather than not at all.
        recorded = store.recorded_bytes()
        store.record_usage(UsageRecord(artifacts.bytes(), recorded))


def check(store: Store, settings: Settings) -> None:
    """Refuse to add to a directory that is full. Reads the database: not for the event loop.

    Raises:
        StorageFull: it is.
    """
    quota = settings.max_data_bytes
    measured = None if quota is None else store.usage()
    if quota is None or measured is None:
        return
    used = measured.found + store.recorded_bytes() - measured.recorded
    if used >= quota:
        raise StorageFull(
            f"the data directory holds {used} bytes, and {quota} are allowed; delete data sets, models or "
            "jobs that are not needed any more, or ask the operator to raise CONVSERVE_MAX_DATA_BYTES",
            numbers={"used_bytes": used, "limit_bytes": quota},
        )
