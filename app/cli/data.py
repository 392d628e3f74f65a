"""The commands about data sets: `convserve data ...`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.files import form, save
from app.cli.options import (
    LOCAL,
    ApiKey,
    ByName,
    ByPart,
    ByTag,
    CommandError,
    Detach,
    Json,
    Url,
    Webhook,
    connect,
)
from app.cli.output import everything, listing, percent, say, say_lines, shape, table

if TYPE_CHECKING:
    from app.api.dataset_pictures import AdditionReport, DatasetStatistics
    from app.api.datasets import Dataset, DatasetReport
    from app.client import Client

data = typer.Typer(
    name="data", help="Data sets: make, add to, list, show, download, delete.", no_args_is_help=True
)

DatasetArgument = Annotated[
    str, typer.Argument(metavar="DATASET", help="The id of a data set.", show_default=False)
]
Tags = Annotated[list[str] | None, typer.Option("--tag", help="A word to find it by; can be repeated.")]
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
    tag: Tags = None,
    to: Annotated[str | None, typer.Option(help="Add to this data set instead of making one.")] = None,
    label: Annotated[str | None, typer.Option(help="With --to: the class of the pictures.")] = None,
    target: Annotated[
        str | None, typer.Option(help="What the file says of each picture: class, labels or values.")
    ] = None,
    image_size: ImageSize = None,
    channels: Annotated[int | None, typer.Option(help="1 for grey, 3 for colour.")] = None,
    fit: Annotated[str | None, typer.Option(help="contain, cover or stretch.")] = None,
    resize: Annotated[
        int | None, typer.Option(help="With cover: the shorter side, before the middle is cut out.")
    ] = None,
    background: Annotated[str | None, typer.Option(help="Colour of the padding, such as black.")] = None,
    invert: Annotated[bool, typer.Option("--invert", help="Turn dark to light and light to dark.")] = False,
    keep_duplicates: Annotated[
        bool, typer.Option("--keep-duplicates", help="Do not leave equal pictures out.")
    ] = False,
    split: Annotated[str | None, typer.Option(help="Shares, such as 0.8,0.1,0.1.")] = None,
    seed: Annotated[int | None, typer.Option(help="Decides which picture falls into which split.")] = None,
    defaults: Annotated[
        str | None,
        typer.Option(help="auto: what is not given is chosen to fit a transfer to these pictures."),
    ] = None,
    webhook: Webhook = None,
    detach: Detach = False,
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Make a data set of a file, or add pictures to one, and wait until they are read."""
    with connect(url, api_key) as client:
        if to is not None:
            _add_to(client, to, files, label, webhook, wait=not detach)
            return
        if len(files) > 2:
            raise CommandError(
                "a data set is made of one file, or of an IDX file of images and one of labels",
                "pack pictures into a zip archive with a folder for each class",
            )
        dataset = client.datasets.upload(
            files[0],
            labels=files[1] if len(files) == 2 else None,
            name=name,
            tags=tag or None,
            target=target,
            image_size=image_size,
            channels=channels,
            fit=fit,
            resize=resize,
            background=background,
            invert="true" if invert else None,
            duplicates="keep" if keep_duplicates else None,
            split=split,
            seed=seed,
            defaults=defaults,
            webhook=webhook,
        )
        _finish_or_leave(client, dataset, detach)


def _finish_or_leave(client: Client, dataset: Dataset, detach: bool) -> None:
    if detach:
        say(f"data set {dataset.id} is {dataset.status}")
    else:
        finish(client, dataset)


def _add_to(
    client: Client, dataset: str, files: list[Path], label: str | None, webhook: str | None, *, wait: bool
) -> None:
    begun = client.datasets.append(dataset, files, label=label, webhook=webhook)
    if not wait:
        say(f"addition {begun.id} is {begun.status}")
        return
    addition = client.datasets.wait_addition(begun)
    if addition.report is None:
        reason = addition.error.message if addition.error else f"it was {addition.status}"
        raise CommandError(f"nothing was added: {reason}")
    say(f"{addition.report.added} pictures were added to {dataset}")
    _print_report(addition.report)


@data.command("download")
def download(
    dataset: Annotated[
        str | None, typer.Argument(help="Such as mnist; without one all are listed.", show_default=False)
    ] = None,
    name: Annotated[str | None, typer.Option(help="What to call it.")] = None,
    tag: Tags = None,
    webhook: Webhook = None,
    detach: Detach = False,
    json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Let the service download a published data set, and wait until it is there."""
    with connect(url, api_key) as client:
        if dataset is not None:
            begun = client.datasets.download(dataset, name=name, tags=tag or None, webhook=webhook)
            _finish_or_leave(client, begun, detach)
            return
        listing(
            client.datasets.downloads(),
            {
                "name": lambda entry: entry.name,
                "what it is": lambda entry: entry.title,
                "pictures": lambda entry: str(entry.images),
                "MB": lambda entry: f"{entry.bytes / 1e6:.0f}",
            },
            as_json=json,
            texts=("what it is",),
            numbers=("pictures", "MB"),
        )


@data.command("list")
def list_datasets(
    status: Annotated[
        str | None, typer.Option(help="Only those that are ingesting, ready or failed.")
    ] = None,
    name: ByName = None,
    contains: ByPart = None,
    tag: ByTag = None,
    json: Json = False,
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """List the data sets, newest first."""
    with connect(url, api_key) as client:
        listing(
            client.datasets.list(status=status, name=name, contains=contains, tag=tag),
            {
                "id": lambda dataset: dataset.id,
                "name": lambda dataset: dataset.name,
                "status": lambda dataset: dataset.status,
                "pictures": lambda dataset: str(dataset.images),
                "classes": lambda dataset: str(len(dataset.classes)),
                "shape": lambda dataset: shape(dataset.image_shape),
            },
            as_json=json,
            texts=("name",),
            numbers=("pictures", "classes"),
        )


@data.command("show")
def show(
    dataset: DatasetArgument,
    samples: Annotated[
        Path | None, typer.Option(help="Write a sheet of samples to this PNG file.", show_default=False)
    ] = None,
    json: Json = False,
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Show everything about a data set, and how many pictures each class has in each split."""
    if samples is not None:
        form(samples, ".png")
    with connect(url, api_key) as client:
        found = client.datasets.get(dataset)
        everything(found, as_json=json)
        if found.status == "ready" and not json:
            say()
            _print_statistics(client.datasets.statistics(dataset))
        if samples is not None:
            save(samples, client.datasets.samples(dataset))


@data.command("statistics")
def show_statistics(
    dataset: DatasetArgument, json: Json = False, url: Url = LOCAL, api_key: ApiKey = None
) -> None:
    """Show pictures per class and split, and the mean, deviation and range of each channel."""
    with connect(url, api_key) as client:
        everything(client.datasets.statistics(dataset), as_json=json)


@data.command("additions")
def list_additions(
    dataset: DatasetArgument, json: Json = False, url: Url = LOCAL, api_key: ApiKey = None
) -> None:
    """List the requests to add pictures to a data set, newest first."""
    with connect(url, api_key) as client:
        listing(
            client.datasets.additions(dataset),
            {
                "id": lambda addition: addition.id or "",
                "status": lambda addition: addition.status,
                "added": lambda addition: str(addition.report.added) if addition.report else "",
                "left out": lambda addition: str(addition.report.skipped) if addition.report else "",
            },
            as_json=json,
            numbers=("added", "left out"),
        )


@data.command("addition")
def show_addition(
    dataset: DatasetArgument,
    addition: Annotated[str, typer.Argument(metavar="ADDITION", help="Its id.", show_default=False)],
    json: Json = False,
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Show what became of a request to add pictures, and every file that was left out."""
    with connect(url, api_key) as client:
        everything(client.datasets.addition(dataset, addition), as_json=json)


@data.command("log")
def show_log(dataset: DatasetArgument, url: Url = LOCAL, api_key: ApiKey = None) -> None:
    """Print what the workers have written that made a data set and added to it."""
    with connect(url, api_key) as client:
        say_lines(client.datasets.log(dataset))


@data.command("cancel")
def cancel(dataset: DatasetArgument, url: Url = LOCAL, api_key: ApiKey = None) -> None:
    """Stop what is being read or downloaded for a data set."""
    with connect(url, api_key) as client:
        stopped = client.datasets.cancel(dataset)
    say(f"data set {stopped.id} is {stopped.status}")


@data.command("delete")
def delete(dataset: DatasetArgument, url: Url = LOCAL, api_key: ApiKey = None) -> None:
    """Delete a data set and its pictures; models that were trained on it stay."""
    with connect(url, api_key) as client:
        client.datasets.delete(dataset)
    say(f"data set {dataset} is deleted")


def _print_statistics(statistics: DatasetStatistics) -> None:
    splits = ("train", "dev", "test")
    if statistics.values:
        figures = ("mean", "std", "min", "max")
        rows = [
            [entry.name, *(f"{getattr(entry.all, name):.4g}" for name in figures)]
            for entry in statistics.values
        ]
        table(("value", *figures), rows, texts=("value",), numbers=figures)
        return
    rows = [
        [entry.name, str(entry.images), *(str(entry.splits[split]) for split in splits)]
        for entry in statistics.classes
    ]
    table(("class", "pictures", *splits), rows, texts=("class",), numbers=("pictures", *splits))


def finish(client: Client, dataset: Dataset) -> None:
    """Wait until a data set is ready, and say what became of it."""
    from app.cli.progress import display

    say(f"data set {dataset.id}")
    with display("data set") as shown:
        for now in client.datasets.watch(dataset.id):
            dataset = now
            if (progress := now.progress) is not None:
                stage = progress.file or progress.stage
                shown.update(f"{stage}, {percent(progress.fraction)}", progress.fraction)
    counts = ", ".join(f"{count} {name}" for name, count in dataset.splits)
    say(f"data set {dataset.id} ({dataset.name}) is {dataset.status}: {dataset.images} pictures ({counts})")
    _print_report(dataset.report)
    if dataset.status == "failed":
        reason = dataset.error.message if dataset.error else "no reason is given"
        raise CommandError(f"the data set has failed: {reason}")


def _print_report(report: DatasetReport | AdditionReport) -> None:
    """Print what was assumed about an upload, what is doubtful about it, and what was left out of it."""
    for note in report.notes:
        say(f"  note: {note}")
    for warning in report.warnings:
        say(f"Warning: {warning}")
    for entry in report.files[:_MOST_FAULTS]:
        say(f"  left out: {entry.name}: {entry.reason}")
    if (more := report.skipped - len(report.files[:_MOST_FAULTS])) > 0:
        say(f"  and {more} more")
