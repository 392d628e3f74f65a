"""What is the same whichever process is asked: of the rows, of the disk, of the version."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import version as version_of

from app import version
from app.errors import StorageFault, Unavailable
from app.log import Log
from app.metrics.families import (
    BUILD_INFO,
    CHECKPOINT_SECONDS,
    DATA_BYTES,
    DATA_LIMIT,
    DATABASE_UP,
    DISK_FREE,
    DISK_SIZE,
    JOBS,
    OLDEST_QUEUED,
    TRAINING_IMAGES,
    WEBHOOKS_PENDING,
)
from app.metrics.faults import count_fault
from app.metrics.metrics import Metrics, Sample
from app.settings import Settings
from app.store import Store
from app.store.records import now

log = Log(__name__)


def installation_samples(store: Store, settings: Settings, metrics: Metrics) -> Iterator[Sample]:
    """Yield the values; those of rows are missing where the database does not answer. Not for the event loop.

    Args:
        store: the rows.
        settings: of the installation.
        metrics: where it is counted if the database does not answer.
    """
    yield BUILD_INFO, (version(), platform.python_version(), version_of("numpy")), 1.0
    with suppress(OSError):
        disk = shutil.disk_usage(settings.data_dir)
        yield DISK_FREE, (), float(disk.free)
        yield DISK_SIZE, (), float(disk.total)
    if settings.max_data_bytes is not None:
        yield DATA_LIMIT, (), float(settings.max_data_bytes)
    try:
        yield from _of_rows(store)
    except (Unavailable, StorageFault) as error:
        count_fault(metrics, error)
        log.warning("metrics_without_rows", reason=error.detail)
        yield DATABASE_UP, (), 0.0
    else:
        yield DATABASE_UP, (), 1.0


def _of_rows(store: Store) -> Iterator[Sample]:
    if (usage := store.usage()) is not None:
        yield DATA_BYTES, (), float(usage.found)
    figures = store.figures.read()
    for (kind, status), count in figures.jobs.items():
        yield JOBS, (kind, status), float(count)
    at = now()
    for kind, since in figures.oldest_queued.items():
        yield OLDEST_QUEUED, (kind,), max(0.0, (at - since).total_seconds())
    yield TRAINING_IMAGES, (), figures.training_images_per_second
    yield CHECKPOINT_SECONDS, (), figures.checkpoint_seconds
    yield WEBHOOKS_PENDING, (), float(figures.webhooks_pending)
