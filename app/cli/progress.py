"""Progress of what takes time: a bar on a terminal, a line now and then in a file or a pipe."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from app.cli.output import duration, percent, say

if TYPE_CHECKING:
    from app.api.training_jobs import EpochFigures, TrainingJobEntry
    from app.client import Client

PLAIN_SECONDS = 5.0
"""How often a line of progress is printed where there is no terminal."""
_MOST_EPOCHS = 20
"""Of more epochs not each gets a line."""


class Display(Protocol):
    """Shows how far something is; used in a `with`."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def update(self, text: str, fraction: float | None = None) -> None:
        """Show where it is, and how much of it is done, from 0 to 1; None when that cannot be said yet."""


def display(name: str) -> Display:
    """Return what shows the progress of something on standard output.

    Args:
        name: what is going on, such as `training`; stands before the bar.
    """
    if sys.stdout.isatty():
        from app.cli.bar import Bar

        return Bar(name)
    return _Lines()


class _Lines:
    """A line when something begins, and then every few seconds."""

    def __init__(self) -> None:
        self._next = 0.0
        self._last = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def update(self, text: str, fraction: float | None = None) -> None:
        now = time.monotonic()
        if now < self._next or text == self._last:
            return
        self._next, self._last = now + PLAIN_SECONDS, text
        say(text)
        sys.stdout.flush()


def follow(client: Client, job_id: str) -> TrainingJobEntry:
    """Show a training job until it has finished, with a line for each of about 20 epochs, and return it."""
    seen = 0
    with display("training") as shown:
        for job in client.training_jobs.watch(job_id):
            if job.metrics is not None and job.metrics.epoch > seen:
                every = -(-job.progress.epochs // _MOST_EPOCHS)
                figures = client.training_jobs.metrics(job.id)
                for metrics in figures:
                    if metrics.epoch <= seen:
                        continue
                    last = job.finished and metrics is figures[-1]
                    if metrics.epoch % every == 0 or metrics.epoch == 1 or last:
                        say(_epoch_line(metrics))
                seen = figures[-1].epoch
            if not job.finished:
                running = _running_figures(job)
                shown.update("  ".join(filter(None, (place(job), running))), job.progress.fraction)
    return job


def place(job: TrainingJobEntry) -> str:
    """Write where a job is: its place in the queue, or its epoch and step."""
    progress = job.progress
    if job.waiting_for is not None and job.waiting_for.storage is not None:
        return f"{job.status}, waits until files can be written (the disk of the server: {job.waiting_for.storage})"
    if job.queue_position is not None:
        soon = "" if job.starts_in_seconds is None else f", starts in about {duration(job.starts_in_seconds)}"
        return f"{job.status}, place {job.queue_position}{soon}"
    if job.waiting_for is not None:
        return f"{job.status}, waits for data set {job.waiting_for.dataset}"
    if job.status == "queued" or not progress.steps:
        return job.status
    parts = [f"epoch {progress.epoch}/{progress.epochs}", f"step {progress.step}/{progress.steps}"]
    if progress.images_per_second is not None:
        parts.append(f"{progress.images_per_second:,.0f} images/s")
    if progress.eta_seconds is not None:
        parts.append(f"ETA {duration(progress.eta_seconds)}")
    return "  ".join(parts)


def _figures(loss: float | None, accuracy: float | None) -> str:
    figures = f"loss {'–' if loss is None else f'{loss:.4f}'}"
    # Values have a loss, but are not right or wrong.
    return figures if accuracy is None and loss is not None else f"{figures}, accuracy {percent(accuracy)}"


def _epoch_line(metrics: EpochFigures) -> str:
    return (
        f"epoch {metrics.epoch}: train {_figures(metrics.train_loss, metrics.train_accuracy)};"
        f" dev {_figures(metrics.dev_loss, metrics.dev_accuracy)}"
    )


def _running_figures(job: TrainingJobEntry) -> str:
    progress, last = job.progress, job.metrics
    if progress.train_loss is None:
        return ""
    text = f"train {_figures(progress.train_loss, progress.train_accuracy)}"
    if last is not None and last.dev_loss is not None:
        text += f"; dev {_figures(last.dev_loss, last.dev_accuracy)}"
    return text
