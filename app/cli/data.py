"""The commands about data sets: `convserve data ...`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from app.api.dataset_pictures import AdditionReport, DatasetStatistics
from app.api.datasets import Dataset, DatasetReport
from app.cli.options import LOCAL, ApiKey, Url
from app.client import Client, ConvserveError

data = typer.Typer(name="data", help="Data sets: make, grow, look, download.", no_args_is_help=True)

DatasetArgument = Annotated[
    str, typer.Argument(metavar="DATASET", help="The id of a data set.", show_default=False)
]
ImageSize = Annotated[str | None, typer.Option(help="Such as 32, or 28x20 for height and width.")]
_MOST_FAULTS = 10


@data.command("add")
def add(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="A zip archive, an npz file, or an IDX file of images and one of labels; with --to also pictures.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ],
    name: Annotated[str | None, typer.Option(help="What to call it; by default like the file.")] = None,
    to: Annotated[str | None, typer.Option(help="Add to this data set instead of making one.")] = None,
    label: Annotated[str | None, typer.Option(help="With --to: the class of the pictures.")] = None,
    target: Annotated[
        str | None, typer.Option(help="What the file tells of each picture: class, labels or values.")
    ] = None,
    image_size: ImageSize = None,
    channels: Annotated[int | None, typer.Option(help="1 for grey, 3 for colour.")] = None,
    fit: Annotated[str | None, typer.Option(help="contain, cover or stretch.")] = None,
    background: Annotated[str | None, typer.Option(help="Colour of the padding, such as black.")] = None,
    invert: Annotated[bool, typer.Option("--invert", help="Turn dark to light and light to dark.")] = False,
    keep_duplicates: Annotated[
        bool, typer.Option("--keep-duplicates", help="Do not leave equal pictures out.")
    ] = False,
    split: Annotated[str | None, typer.Option(help="Shares, such as 0.8,0.1,0.1.")] = None,
    seed: Annotated[int | None, typer.Option(help="Decides which picture falls into which split.")] = None,
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Make a data set of a file, or add pictures to one, and wait until they are read."""
    console = Console()
    with Client(url, api_key=api_key) as client:
        if to is not None:
            addition = client.datasets.append(to, files, label=label)
            with console.status("reading the pictures"):
                addition = client.datasets.wait_addition(addition)
            if addition.error is not None:
                raise ConvserveError(f"nothing was added: {addition.error.message}")
            if addition.report is None:
                raise ConvserveError(f"nothing was added: the addition was {addition.status}")
            console.print(f"{addition.report.added} pictures were added to {to}", highlight=False)
            _show_faults(console, addition.report)
            return
        if len(files) > 2:
            raise ConvserveError(
                "a data set is made of one file, or of an IDX file of images and one of labels",
                hint="pack pictures into a zip archive with a folder for each class",
            )
        dataset = client.datasets.upload(
            files[0],
            labels=files[1] if len(files) == 2 else None,
            name=name,
            target=target,
            image_size=image_size,
            channels=channels,
            fit=fit,
            background=background,
            invert="true" if invert else None,
            duplicates="keep" if keep_duplicates else None,
            split=split,
            seed=seed,
        )
        _finish(console, client, dataset)


@data.command("download")
def download(
    dataset: Annotated[
        str | None, typer.Argument(help="Such as mnist; without one all are listed.", show_default=False)
    ] = None,
    name: Annotated[str | None, typer.Option(help="What to call it.")] = None,
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Let the service fetch a well-known data set, and wait until it is there."""
    console = Console()
    with Client(url, api_key=api_key) as client:
        if dataset is not None:
            _finish(console, client, client.datasets.download(dataset, name=name))
            return
        table = Table("name", "what it is", "pictures", "MB", box=box.SIMPLE)
        for entry in client.datasets.downloads():
            table.add_row(entry.name, entry.title, str(entry.images), f"{entry.bytes / 1e6:.0f}")
        console.print(table)


@data.command("list")
def list_datasets(url: Url = LOCAL, api_key: ApiKey = None) -> None:
    """List the data sets, newest first."""
    table = Table("id", "name", "status", "pictures", "classes", "shape", box=box.SIMPLE)
    with Client(url, api_key=api_key) as client:
        for dataset in client.datasets.list():
            table.add_row(
                dataset.id,
                escape(dataset.name),
                dataset.status,
                str(dataset.images),
                str(len(dataset.classes)),
                "x".join(map(str, dataset.image_shape)),
            )
    Console().print(table)


@data.command("show")
def show(
    dataset: DatasetArgument,
    samples: Annotated[
        Path | None, typer.Option(help="Write a sheet of samples to this PNG file.", show_default=False)
    ] = None,
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Show the classes of a data set and what was left out of it."""
    console = Console()
    with Client(url, api_key=api_key) as client:
        found = client.datasets.get(dataset)
        _describe(console, found)
        if found.status != "ready":
            return
        statistics = client.datasets.statistics(dataset)
        console.print(_value_table(statistics) if found.target == "values" else _class_table(statistics))
        if samples is not None:
            try:
                samples.write_bytes(client.datasets.samples(dataset))
            except OSError as error:
                raise ConvserveError(f"cannot write {samples}: {error.strerror}") from error


def _class_table(statistics: DatasetStatistics) -> Table:
    table = Table("class", "pictures", "train", "dev", "test", box=box.SIMPLE)
    for entry in statistics.classes:
        splits = [str(entry.splits[split]) for split in ("train", "dev", "test")]
        table.add_row(escape(entry.name), str(entry.images), *splits)
    return table


def _value_table(statistics: DatasetStatistics) -> Table:
    figures = ("mean", "std", "min", "max")
    table = Table("value", *figures, box=box.SIMPLE)
    for entry in statistics.values:
        table.add_row(escape(entry.name), *(f"{getattr(entry.all, name):.4g}" for name in figures))
    return table


def _finish(console: Console, client: Client, dataset: Dataset) -> None:
    """Wait for a data set with a bar, and say what became of it."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task("waiting", total=1.0)
        for found in client.datasets.watch(dataset.id):
            dataset = found
            if (progress := found.progress) is not None:
                bars.update(task, description=progress.file or progress.stage, completed=progress.fraction)
    _describe(console, dataset)
    if dataset.status == "failed":
        raise ConvserveError(
            f"the data set has failed: {dataset.error.message if dataset.error else 'for no known reason'}"
        )


def _describe(console: Console, dataset: Dataset) -> None:
    counts = ", ".join(f"{count} {name}" for name, count in dataset.splits)
    console.print(
        f"data set {dataset.id} ({dataset.name}) is {dataset.status}: {dataset.images} pictures ({counts})",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )
    _show_faults(console, dataset.report)


def _show_faults(console: Console, report: DatasetReport | AdditionReport) -> None:
    shown = report.files[:_MOST_FAULTS]
    for entry in shown:
        console.print(
            f"  left out: {entry.name}: {entry.reason}", soft_wrap=True, highlight=False, markup=False
        )
    if (more := report.skipped - len(shown)) > 0:
        console.print(f"  and {more} more", highlight=False)
