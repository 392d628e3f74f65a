"""The calls on training jobs, and on single steps of training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.api.norms import TrainingNorms
from app.api.training_jobs import EpochFigures, TrainingJob, TrainingJobEntry
from app.api.training_reports import TrainingReport
from app.api.training_steps import TrainingStep
from app.client.calls import (
    Call,
    Stream,
    chosen,
    content,
    entries,
    finished,
    pages,
    record,
    watched,
)
from app.client.resource import Jobs, M, Resource, call, stream

_JOBS = "/v1/training-jobs"


class TrainingJobs(Jobs[M, TrainingJob]):
    """Training, from the wish to the model."""

    _path = _JOBS
    _body = TrainingJob

    @call
    def create(
        self,
        /,
        architecture: str | Mapping[str, Any] | None = None,
        dataset: str | None = None,
        **options: Any,
    ) -> Call[TrainingJob]:
        """Ask for a training run; it starts when the service has room for it.

        Args:
            architecture: the id or name of a stored one, `{"preset": name}`, or one written out. Without it, it is
                chosen to fit the data, like everything else that is not given.
            dataset: the id or name of a data set; while it is still being filled the job waits.
            options: the other fields of the call: `epochs`, `batch_size`, `seed`, `optimizer`, `schedule`, `loss`,
                `select`, `name` ... Those that are None are left to the service. With `continue_from`, a
                job, neither architecture nor data set is needed; with `initial_weights`, a model, and a data set the
                model's network learns the data set's classes, and `train` says what of it.
        """
        described = dict(architecture) if isinstance(architecture, Mapping) else architecture
        body = chosen({"architecture": described, "dataset": dataset, **options})
        return record(TrainingJob, "POST", _JOBS, json=body)

    @stream
    def list(
        self,
        *,
        status: str | None = None,
        name: str | None = None,
        contains: str | None = None,
        tag: str | None = None,
    ) -> Stream[TrainingJobEntry]:
        """List the jobs, newest first, without their architectures.

        Args:
            status: only those of this status.
            name: only those of this name.
            contains: only those with this in their name.
            tag: only those with this tag.
        """
        return pages(TrainingJobEntry, _JOBS, status=status, name=name, contains=contains, tag=tag)

    @call
    def get(self, job_id: str) -> Call[TrainingJob]:
        """Return a job."""
        return record(TrainingJob, "GET", f"{_JOBS}/{job_id}")

    @stream
    def watch(self, job_id: str, *, interval: float = 0.25) -> Stream[TrainingJob]:
        """Yield the job every `interval` seconds, the last time when it has finished."""
        return watched(record(TrainingJob, "GET", f"{_JOBS}/{job_id}"), finished, interval)

    @call
    def metrics(self, job_id: str) -> Call[tuple[EpochFigures, ...]]:
        """Return the figures of each epoch so far."""
        return entries(EpochFigures, f"{_JOBS}/{job_id}/metrics")

    @call
    def curves(self, job_id: str, *, accept: str = "image/svg+xml") -> Call[bytes]:
        """Return a drawing of loss and accuracy over the epochs, as SVG or `image/png`."""
        return content(f"{_JOBS}/{job_id}/curves", accept)

    @call
    def norms(self, job_id: str) -> Call[TrainingNorms]:
        """Return how long the gradient and the weights of each node were, epoch by epoch."""
        return record(TrainingNorms, "GET", f"{_JOBS}/{job_id}/norms")

    @call
    def norms_file(self, job_id: str, *, accept: str = "image/svg+xml") -> Call[bytes]:
        """Return a drawing of these lengths over the epochs, as SVG or `image/png`."""
        return content(f"{_JOBS}/{job_id}/norms", accept)

    @call
    def report(self, job_id: str) -> Call[TrainingReport]:
        """Return whether the model of a finished job is good enough, and what would make it better."""
        return record(TrainingReport, "GET", f"{_JOBS}/{job_id}/report")


class TrainingSteps(Resource[M]):
    """Single steps of training, taken apart."""

    @call
    def take(
        self, /, architecture: str | Mapping[str, Any] | None = None, **options: Any
    ) -> Call[TrainingStep]:
        """Take one step and return its losses, gradients and updates; nothing of it is kept.

        Args:
            architecture: the id or name of a stored one, `{"preset": name}`, or one written out; by default that of
                the model in `weights`.
            options: the other fields of the call: `dataset` and `indices`, `images` or `inputs`, `targets`, `weights`,
                `optimizer`, `loss`, `show`, `numeric_check` ... Those that are None are left to the service.
        """
        described = dict(architecture) if isinstance(architecture, Mapping) else architecture
        return record(
            TrainingStep, "POST", "/v1/training-steps", json=chosen({"architecture": described, **options})
        )
