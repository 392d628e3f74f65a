"""The commands that correct pictures: `convserve data relabel`, `exclude`, `restore`, `corrections`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.data import DatasetArgument, data
from app.cli.options import LOCAL, ApiKey, CommandError, Json, Url, connect
from app.cli.output import listing, say

if TYPE_CHECKING:
    from app.api.dataset_pictures import CorrectedPicture

Numbers = Annotated[
    list[int],
    typer.Argument(metavar="NUMBER...", help="The numbers of the pictures.", show_default=False, min=0),
]


@data.command("relabel")
def relabel(
    dataset: DatasetArgument,
    numbers: Numbers,
    label: Annotated[
        list[str] | None,
        typer.Option(
            help="The class that they show; in a data set of labels each that they have, option by option."
        ),
    ] = None,
    no_label: Annotated[
        bool, typer.Option("--no-label", help="In a data set of labels: they have none.")
    ] = False,
    value: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=NUMBER", help="In a data set of values: one that is another."),
    ] = None,
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Say what pictures of a data set show: another class, other labels or values, in a new revision of it."""
    if sum(map(bool, (label, no_label, value))) != 1:
        raise CommandError("say what the pictures show: by --label, --no-label or --value")
    with connect(url, api_key) as client:
        target = client.datasets.get(dataset).target if label else None
    if value:
        change: dict[str, Any] = {"values": dict(map(_value, value))}
    elif target == "class" and label:
        if len(label) > 1:
            raise CommandError(f"the pictures of {dataset} have one class each: give --label once")
        change = {"label": label[0]}
    else:
        change = {"labels": label or []}
    _correct(dataset, numbers, change, url, api_key)


def _value(text: str) -> tuple[str, float]:
    name, _, number = text.rpartition("=")
    try:
        return name, float(number)
    except ValueError:
        raise CommandError(f"{text!r} is no name and number, such as age=0.5") from None


@data.command("exclude")
def exclude(dataset: DatasetArgument, numbers: Numbers, url: Url = LOCAL, api_key: ApiKey = None) -> None:
    """Leave pictures out of a data set from now on; jobs that were accepted before still have them."""
    _correct(dataset, numbers, {"excluded": True}, url, api_key)


@data.command("restore")
def restore(dataset: DatasetArgument, numbers: Numbers, url: Url = LOCAL, api_key: ApiKey = None) -> None:
    """Put pictures back that were left out."""
    _correct(dataset, numbers, {"excluded": False}, url, api_key)


@data.command("corrections")
def list_corrections(
    dataset: DatasetArgument, json: Json = False, url: Url = LOCAL, api_key: ApiKey = None
) -> None:
    """List what was corrected in a data set, newest first."""
    with connect(url, api_key) as client:
        listing(
            client.datasets.corrections(dataset),
            {
                "revision": lambda entry: str(entry.revision),
                "pictures": lambda entry: str(len(entry.pictures)),
                "such as": lambda entry: _said(entry.pictures[0]),
            },
            as_json=json,
            texts=("such as",),
            numbers=("revision", "pictures"),
        )


def _correct(dataset: str, numbers: list[int], change: dict[str, Any], url: str, api_key: str | None) -> None:
    with connect(url, api_key) as client:
        wishes = [{"number": number, **change} for number in dict.fromkeys(numbers)]
        made = client.datasets.correct(dataset, wishes)
    if not made.pictures:
        say(f"nothing to correct: it is so already in revision {made.revision} of {dataset}")
        return
    say(f"{len(made.pictures)} pictures are corrected in revision {made.revision} of {dataset}")
    for picture in made.pictures:
        say(f"  {_said(picture)}")


def _listed(labels: tuple[str, ...]) -> str:
    return "|".join(labels) or "no label"


def _said(picture: CorrectedPicture) -> str:
    """Say what was corrected of a picture."""
    said = []
    if picture.label is not None:
        said.append(f"{picture.label} and not {picture.label_before}")
    if picture.labels is not None:
        said.append(f"{_listed(picture.labels)} and not {_listed(picture.labels_before or ())}")
    for name, value in (picture.values or {}).items():
        said.append(f"{name} {value:g} and not {(picture.values_before or {})[name]:g}")
    if picture.excluded is not None:
        said.append("left out" if picture.excluded else "put back")
    name = "" if picture.name is None else f" ({picture.name})"
    return f"{picture.number}{name}: {', '.join(said)}"
