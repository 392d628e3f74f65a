"""The command `convserve explain`: what a prediction comes from."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.files import Output, Pictures, form, one_for_each, save
from app.cli.models import Reference
from app.cli.options import LOCAL, ApiKey, CommandError, Json, Url, connect
from app.cli.output import everything, listing, say

_ENDINGS = (".png", ".npz", ".json")


def explain(
    model: Reference,
    pictures: Pictures,
    output: Output = None,
    method: Annotated[
        str, typer.Option(help="How, as `convserve catalog explanations` lists them.")
    ] = "grad_cam",
    name: Annotated[
        str | None, typer.Option("--class", help="The class, label or value; by default what is predicted.")
    ] = None,
    relative: Annotated[
        bool,
        typer.Option("--relative", help="Explain how much higher the score is than the mean of all classes."),
    ] = False,
    node: Annotated[str | None, typer.Option(help="Of grad_cam: the node whose maps are weighed.")] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            help="Another option of the method, such as steps=64; can be repeated.", metavar="NAME=VALUE"
        ),
    ] = None,
    json: Json = False,
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Show where in pictures the score of a class comes from.

    With -o each picture is drawn under its map (.png), or its map written as .npz or .json; of several pictures, the
    names of these stand before that of the file.
    """
    options = {"class_": name, "node": node, "relative": relative or None, **_options(option or [])}
    options = {key: value for key, value in options.items() if value is not None}
    files = [] if output is None else one_for_each(output, pictures)
    accept = None if output is None else form(output, *_ENDINGS)
    with connect(url, api_key) as client:
        if accept is not None:
            for picture, file in zip(pictures, files, strict=True):
                save(file, client.models.explanation_file(model, picture, method, accept=accept, **options))
            return
        found = [client.models.explain(model, picture, method, **options) for picture in pictures]
    if json and len(found) > 1:
        listing(found, {}, as_json=True)
        return
    for place, each in enumerate(found):
        if place:
            say()
        everything(each, as_json=json, without={"map"})


def _options(texts: list[str]) -> dict[str, str]:
    options = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not (name and sign):
            raise CommandError(f"--option: {text!r} has no value", "write it as NAME=VALUE, such as steps=64")
        options[name] = value
    return options
