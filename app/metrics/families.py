"""What is measured: a record for each family of series, as Prometheus names and describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

FAST_SECONDS = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
"""Bounds for what a caller waits for; a small prediction takes 0.2 ms."""
SLOW_SECONDS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 43200.0, 86400.0)
"""Bounds for jobs."""
PICTURES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)


@dataclass(frozen=True, slots=True)
class Family:
    """Series of one name, which differ in their labels.

    Attributes:
        name: with the unit at its end; counters end with `_total`.
        kind: as Prometheus has them.
        help: what it means, in a sentence.
        labels: their names.
        bounds: upper bounds of the buckets of a histogram.
        passing: whether it is the state of a process, and means nothing once that has ended.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    passing: bool = False


_families: dict[str, Family] = {}

FAMILIES: Mapping[str, Family] = MappingProxyType(_families)
"""All of them, by name."""


def _add(family: Family) -> Family:
    _families[family.name] = family
    return family


def _counter(name: str, help_: str, *labels: str) -> Family:
    return _add(Family(f"convserve_{name}", "counter", help_, labels))


def _gauge(name: str, help_: str, *labels: str) -> Family:
    return _add(Family(f"convserve_{name}", "gauge", help_, labels, passing=True))


def _histogram(name: str, help_: str, bounds: tuple[float, ...], *labels: str) -> Family:
    return _add(Family(f"convserve_{name}", "histogram", help_, labels, bounds))


BUILD_INFO = _gauge("build_info", "Always 1; the labels say what is running.", "version", "python", "numpy")

# Requests

REQUEST_SECONDS = _histogram(
    "http_request_duration_seconds",
    "Time from the head of a request to the end of its answer, by the path as it is documented: pages stands for the "
    "web page and the documentation, unmatched for all else without a route, none for what its connection refused "
    "unread.",
    FAST_SECONDS,
    "method",
    "route",
    "status",
)
REFUSALS = _counter(
    "http_refusals_total",
    "Requests that were not answered as asked: status and the last part of the problem's type.",
    "status",
    "reason",
)
IN_PROGRESS = _gauge(
    "http_requests_in_progress", "Requests that are not answered to their end, event streams too."
)
CONNECTIONS = _gauge("http_connections", "Open connections.")
EVENT_STREAMS = _gauge("event_streams", "Readers that follow what happens to jobs.")

# Predictions

PREDICTIONS = _counter(
    "predictions_total", "Pictures that a model has looked at for requests, by its name.", "model"
)
PREDICTION_WAIT = _histogram(
    "prediction_wait_seconds",
    "Time from when a request's pictures have arrived until the first of them is computed.",
    FAST_SECONDS,
    "model",
)
BATCH_SECONDS = _histogram(
    "prediction_batch_duration_seconds",
    "Time that decoding and computing one batch of pictures takes.",
    FAST_SECONDS,
    "model",
)
BATCH_PICTURES = _histogram(
    "prediction_batch_pictures", "Pictures that are computed together.", PICTURES, "model"
)
QUEUE_PICTURES = _gauge(
    "prediction_queue_pictures", "Pictures that wait for a thread or are computed by one."
)
QUEUE_LIMIT = _gauge("prediction_queue_limit_pictures", "How many may (CONVSERVE_MAX_QUEUE).")
BODIES_BYTES = _gauge("request_bodies_bytes", "What the bodies hold of requests that wait in memory.")
BODIES_LIMIT = _gauge("request_bodies_limit_bytes", "How much they may (CONVSERVE_MAX_QUEUE_BYTES).")
MODELS_LOADED = _gauge("models_loaded", "Models in memory, those too that are being loaded.")
MODELS_BYTES = _gauge("models_loaded_bytes", "What loaded models take, with their plans.")
MODELS_LIMIT = _gauge("models_loaded_limit_bytes", "How much they may (CONVSERVE_MODELS_BYTES).")

# Jobs

JOBS = _gauge("jobs", "Jobs that there are, finished ones too until they are deleted.", "kind", "status")
OLDEST_QUEUED = _gauge(
    "jobs_oldest_queued_age_seconds", "For how long the job has waited that waits longest.", "kind"
)
JOB_WAIT = _histogram(
    "job_wait_seconds", "Time from when a job was asked for until its first attempt.", SLOW_SECONDS, "kind"
)
JOB_SECONDS = _histogram(
    "job_duration_seconds",
    "Time from the first attempt of a job to its end, all attempts and what lay between them.",
    SLOW_SECONDS,
    "kind",
    "status",
)
ATTEMPTS = _counter("job_attempts_total", "Attempts of jobs that were started.", "kind")
LOST_ATTEMPTS = _counter(
    "job_attempts_lost_total", "Attempts that ended without a word: killed, crashed or hung.", "kind"
)
TRAINING_IMAGES = _gauge(
    "training_images_per_second", "Training pictures that all running training jobs take together."
)
CHECKPOINT_SECONDS = _gauge(
    "training_checkpoint_seconds",
    "Time that the last checkpoint of a running training job took to write; of several the longest.",
)
RUNNER_SILENT = _gauge(
    "runner_silent_seconds",
    "For how long jobs have not been looked at, which is done twice a second; infinite where it will not be any more.",
)

# Storage

DISK_FREE = _gauge("disk_free_bytes", "Room that is left where the data directory lies.")
DISK_SIZE = _gauge("disk_size_bytes", "Size of the file system where the data directory lies.")
DATA_BYTES = _gauge("data_bytes", "Size of the data directory when it was last measured.")
DATA_LIMIT = _gauge("data_limit_bytes", "Its largest size (CONVSERVE_MAX_DATA_BYTES), where there is one.")

STORAGE_FAULTS = _counter(
    "storage_faults_total",
    "How often disk, database or object store could not be read or written, by kind: full, low (less than is to stay "
    "free), read-only, damaged, unavailable; each time for a request, a look at readiness, a part of the server that "
    "tries again, or, as worker, a job.",
    "part",
    "kind",
)
DATABASE_UP = _gauge("database_up", "Whether the database answered just now, 1 or 0.")

# What goes out and what goes wrong

WEBHOOK_ATTEMPTS = _counter(
    "webhook_attempts_total",
    "Attempts to send a webhook: delivered; retried, if it will be sent again; failed, if it was given up.",
    "outcome",
)
WEBHOOKS_PENDING = _gauge("webhooks_pending", "Webhooks that are still to be sent.")
LOG_EVENTS = _counter(
    "log_events_total", "Warnings and errors in the log; those of libraries by the name of the library.",
    "level", "event",
)  # fmt: skip

# Processes

PROCESS_RESIDENT = _gauge("process_resident_memory_bytes", "Memory of a serving process.", "process")
PROCESS_FDS = _gauge("process_open_fds", "Open file descriptors of a serving process.", "process")
PROCESS_MAX_FDS = _gauge("process_max_fds", "How many descriptors it may have open.", "process")
PROCESS_THREADS = _gauge("process_threads", "Threads of a serving process.", "process")
PROCESS_STARTED = _gauge(
    "process_start_time_seconds", "When it was started, in seconds since 1970.", "process"
)
PROCESS_CPU = _add(
    Family(
        "convserve_process_cpu_seconds_total",
        "counter",
        "Processor time of a serving process.",
        ("process",),
        passing=True,
    )
)
