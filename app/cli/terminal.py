"""What the command line shows: tables, progress and errors."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table
from rich.text import Text

from app.api.architectures import Summary
from app.api.models import Candidate, Prediction
from app.api.training_jobs import EpochFigures, TrainingJob
from app.client import Client, ConvserveError

PLAIN_SECONDS = 5.0
"""How often a line of progress is printed where there is no terminal."""


def shape(sizes: Sequence[int]) -> str:
    """Write a shape for people: `28 × 28 × 6`."""
    return " × ".join(str(size) for size in sizes)


def percent(share: float | None) -> str:
    """Write a share of 1 as `97.5 %`."""
    return "–" if share is None else f"{100 * share:.1f} %"


def summary_table(summary: Summary, *, formulas: bool = False) -> Table:
    """Show the shapes and costs of an architecture, a row for each node."""
    table = Table(show_footer=True)
    table.add_column("layer", "total", no_wrap=True)
    table.add_column("output", shape(summary.output_shape), no_wrap=True)
    if formulas:
        table.add_column("output height")
    table.add_column("parameters", f"{summary.totals.parameters:,}", justify="right")
    table.add_column("multiply-adds", f"{summary.totals.multiply_adds:,}", justify="right")
    table.add_column("sees", justify="right", no_wrap=True)
    table.add_row("input", shape(summary.input_shape), *([""] * (4 if formulas else 3)))
    for layer in summary.layers:
        formula = [layer.formula.get("height", "")] if formulas else []
        sees = shape(layer.receptive_field) if layer.receptive_field else ""
        table.add_row(
            layer.name,
            shape(layer.output_shape),
            *formula,
            f"{layer.parameters:,}" if layer.parameters else "",
            f"{layer.multiply_adds:,}" if layer.multiply_adds else "",
            sees,
        )
    return table


def prediction_table(predictions: Sequence[Prediction], truth: Sequence[str | None] | None = None) -> Table:
    """Show what a model sees in each picture, beside what is really there when that is known."""
    table = Table("picture")
    if truth is not None:
        table.add_column("true label")
    table.add_column("predicted")
    table.add_column("probability", justify="right")
    others = any(len(prediction.top) > 1 for prediction in predictions)
    if others:
        table.add_column("then")
    for row, prediction in enumerate(predictions):
        known = [] if truth is None else [escape(truth[row] or "–")]
        wrong = truth is not None and truth[row] != prediction.label
        label = escape(_answer(prediction))
        told = 1 if prediction.labels is None else len(prediction.labels)
        runners_up = _candidates(prediction.top[told:])
        table.add_row(
            escape(prediction.filename or str(row + 1)),
            *known,
            f"[red]{label}[/red]" if wrong else label,
            percent(prediction.probability) if prediction.label is not None else "",
            *([escape(runners_up)] if others else []),
        )
    return table


def _answer(prediction: Prediction) -> str:
    if prediction.values is not None:
        return "  ".join(
            f"{value.name} {'–' if value.value is None else f'{value.value:.4g}'}"
            for value in prediction.values
        )
    if prediction.labels is not None:
        return _candidates(prediction.labels) or "no label"
    return prediction.label or "–"


def _candidates(candidates: Sequence[Candidate]) -> str:
    return "  ".join(f"{candidate.label} {percent(candidate.probability)}" for candidate in candidates)


def print_error(console: Console, error: ConvserveError) -> None:
    """Say what is wrong, where, and what would fix it."""
    console.print(Text.assemble(("Error: ", "bold red"), error.detail), soft_wrap=True)
    for fault in error.faults:
        place = fault.pointer or fault.parameter
        if fault.detail not in error.detail:
            console.print(
                Text(f"  {place}: {fault.detail}" if place else f"  {fault.detail}"), soft_wrap=True
            )
    if error.hint:
        console.print(Text.assemble(("Hint: ", "bold"), error.hint), soft_wrap=True)


def follow(console: Console, client: Client, job_id: str) -> TrainingJob:
    """Show a training job until it has finished, and return it.

    On a terminal this is a live bar under a line for each epoch; anywhere else a line now and then.
    """
    seen = 0

    def show_epochs(job: TrainingJob) -> None:
        nonlocal seen
        if job.metrics is None or job.metrics.epoch <= seen:
            return
        for metrics in client.training_jobs.metrics(job.id):
            if metrics.epoch > seen:
                seen = metrics.epoch
                console.print(_epoch_line(metrics), soft_wrap=True, highlight=False)

    show_progress = _LiveBar if console.is_terminal else _PlainLines
    with show_progress(console) as display:
        for job in client.training_jobs.watch(job_id):
            show_epochs(job)
            display.update(job)
    return job


def _figures(loss: float | None, accuracy: float | None) -> str:
    told = f"loss {'–' if loss is None else f'{loss:.4f}'}"
    # Values have a loss, but are not right or wrong.
    return told if accuracy is None and loss is not None else f"{told}, accuracy {percent(accuracy)}"


def _epoch_line(metrics: EpochFigures) -> str:
    return (
        f"epoch {metrics.epoch}: train {_figures(metrics.train_loss, metrics.train_accuracy)};"
        f" dev {_figures(metrics.dev_loss, metrics.dev_accuracy)}"
    )


def _position(job: TrainingJob) -> str:
    progress = job.progress
    if job.status == "queued" or not progress.steps:
        return job.status
    parts = [f"epoch {progress.epoch}/{progress.epochs}", f"step {progress.step}/{progress.steps}"]
    if progress.images_per_second is not None:
        parts.append(f"{progress.images_per_second:,.0f} images/s")
    if progress.eta_seconds is not None:
        minutes, seconds = divmod(round(progress.eta_seconds), 60)
        parts.append(f"ETA {minutes}:{seconds:02}")
    return "  ".join(parts)


def _running_figures(job: TrainingJob) -> str:
    progress, last = job.progress, job.metrics
    if progress.train_loss is None:
        return ""
    text = f"train {_figures(progress.train_loss, progress.train_accuracy)}"
    if last is not None and last.dev_loss is not None:
        text += f"; dev {_figures(last.dev_loss, last.dev_accuracy)}"
    return text


class _LiveBar:
    """Progress that is redrawn in place."""

    def __init__(self, console: Console) -> None:
        self._bar = Progress(TextColumn("training"), BarColumn(), TaskProgressColumn())
        self._task = self._bar.add_task("training", total=1.0)
        self._live = Live(console=console, refresh_per_second=8)

    def __enter__(self) -> _LiveBar:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def update(self, job: TrainingJob) -> None:
        self._bar.update(self._task, completed=job.progress.fraction or 0.0)
        self._live.update(Group(self._bar, _position(job), Text(_running_figures(job), style="dim")))


class _PlainLines:
    """Progress as a line now and then, for a file or a pipe."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next = 0.0

    def __enter__(self) -> _PlainLines:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, job: TrainingJob) -> None:
        now = time.monotonic()
        if job.finished or now < self._next:
            return
        self._next = now + PLAIN_SECONDS
        figures = _running_figures(job)
        line = f"{_position(job)}  {figures}" if figures else _position(job)
        self._console.print(line, soft_wrap=True, highlight=False)
