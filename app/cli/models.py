"""The commands about models: `convserve models ...` and `convserve evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from app.api.evaluations import EvaluationReport
from app.cli.options import LOCAL, ApiKey, Url
from app.cli.terminal import percent
from app.client import Client, ConvserveError

models = typer.Typer(
    name="models", help="Models: look, take along, bring back, name, use on many.", no_args_is_help=True
)

Reference = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="The id of a model, or name@version, or name@alias.", show_default=False
    ),
]


@models.command("list")
def list_models(url: Url = LOCAL, api_key: ApiKey = None) -> None:
    """List the models, newest first."""
    table = Table("id", "name", "version", "test accuracy", box=box.SIMPLE)
    with Client(url, api_key=api_key) as client:
        for model in client.models.list():
            accuracy = percent(model.metrics.get("test_accuracy"))
            table.add_row(model.id, escape(model.name), str(model.version), accuracy)
    Console().print(table)


@models.command("show")
def show_model(model: Reference, url: Url = LOCAL, api_key: ApiKey = None) -> None:
    """Show what is known about a model, as JSON."""
    with Client(url, api_key=api_key) as client:
        Console(soft_wrap=True).print_json(client.models.get(model).model_dump_json())


@models.command("export")
def export_model(
    model: Reference,
    file: Annotated[Path, typer.Argument(help="Where to write it.", show_default=False)],
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Write a model into one safetensors file."""
    with Client(url, api_key=api_key) as client:
        try:
            client.models.export(model, file)
        except OSError as error:
            raise ConvserveError(f"cannot write {file}: {error.strerror}") from error
    Console().print(f"{file}: {file.stat().st_size} bytes", soft_wrap=True, highlight=False, markup=False)


@models.command("import")
def import_model(
    file: Annotated[
        Path, typer.Argument(help="A model file.", exists=True, dir_okay=False, show_default=False)
    ],
    name: Annotated[str | None, typer.Option(help="What to call it; by default as the file says.")] = None,
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Bring a model file to a service."""
    with Client(url, api_key=api_key) as client:
        model = client.models.bring(file, name=name)
    told = f"model {model.id}: {model.name}, version {model.version}"
    Console().print(told, soft_wrap=True, highlight=False, markup=False)


@models.command("alias")
def alias_model(
    model: Reference,
    alias: Annotated[str, typer.Argument(help="Such as production.", show_default=False)],
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Let NAME@ALIAS stand for a model from now on."""
    with Client(url, api_key=api_key) as client:
        found = client.models.get(model)
        client.models.set_alias(found.name, alias, found.id)
    Console().print(f"{found.name}@{alias} is {found.id}", soft_wrap=True, highlight=False, markup=False)


@models.command("predict-batch")
def predict_batch(
    model: Reference,
    archive: Annotated[
        Path,
        typer.Argument(help="A zip archive of pictures.", exists=True, dir_okay=False, show_default=False),
    ],
    table: Annotated[Path, typer.Argument(help="The CSV file to write.", show_default=False)],
    top: Annotated[int, typer.Option(min=1, help="How many classes to name for each.")] = 3,
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Let a model look at every picture of an archive, and write what it sees into a table.

    Ctrl-C ends the waiting, not the work.
    """
    console = Console()
    with Client(url, api_key=api_key) as client:
        batch = client.batch_predictions.create(model, archive, top_k=top)
        console.print(f"batch prediction {batch.id}", highlight=False)
        columns = (TextColumn("looking"), BarColumn(), TextColumn("{task.completed:.0f} of {task.total:.0f}"))
        with Progress(*columns, console=console, transient=True) as bars:
            task = bars.add_task("looking", total=batch.progress.of)
            for found in client.batch_predictions.watch(batch.id):
                batch = found
                bars.update(task, completed=batch.progress.images)
        if batch.status != "succeeded":
            reason = f": {batch.error.message}" if batch.error else ""
            raise ConvserveError(f"the batch prediction has {batch.status}{reason}")
        try:
            table.write_bytes(client.batch_predictions.result(batch.id))
        except OSError as error:
            raise ConvserveError(f"cannot write {table}: {error.strerror}") from error
    failed = f", {batch.progress.failed} of which are no picture" if batch.progress.failed else ""
    console.print(
        f"{table}: {batch.progress.of} files{failed}", soft_wrap=True, highlight=False, markup=False
    )


def evaluate(
    model: Reference,
    dataset: Annotated[str, typer.Option(help="The id of a data set.")] = "digits",
    split: Annotated[str, typer.Option(help="train, dev or test.")] = "test",
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Judge a model by a data set, and say what to try next."""
    console = Console()
    with Client(url, api_key=api_key) as client:
        job = client.evaluations.create(model, dataset, split=split)
        with console.status("looking at the pictures"):
            job = client.evaluations.wait(job.id)
    if job.report is None:
        reason = f": {job.error.message}" if job.error else ""
        raise ConvserveError(f"the evaluation has {job.status}{reason}")
    console.print(_value_table(job.report) if job.report.values else _class_table(job.report))
    if job.report.accuracy is not None:
        console.print(
            f"accuracy: {percent(job.report.accuracy)} of {job.report.images} pictures", highlight=False
        )
    if job.report.diagnosis is not None:
        console.print(job.report.diagnosis.advice, highlight=False, markup=False)
    for warning in job.warnings:
        console.print(f"Warning: {warning}", highlight=False, markup=False)


def _class_table(report: EvaluationReport) -> Table:
    table = Table("class", "pictures", "precision", "recall", "F1", box=box.SIMPLE)
    for entry in report.classes:
        figures = (percent(entry.precision), percent(entry.recall), percent(entry.f1))
        table.add_row(escape(entry.name), str(entry.images), *figures)
    return table


def _value_table(report: EvaluationReport) -> Table:
    table = Table("value", "mean error", "root mean squared error", "R²", box=box.SIMPLE)
    for entry in report.values:
        errors = (f"{entry.mean_absolute_error:.4g}", f"{entry.root_mean_squared_error:.4g}")
        table.add_row(escape(entry.name), *errors, "–" if entry.r2 is None else f"{entry.r2:.3f}")
    return table
