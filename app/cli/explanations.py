"""The command `convserve explain`: what a prediction comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.models import Reference
from app.cli.options import LOCAL, ApiKey, CommandError, Json, Url, connect
from app.cli.output import everything, say


def explain(
    model: Reference,
    picture: Annotated[
        Path,
        typer.Argument(
            help="A picture file.", exists=True, dir_okay=False, readable=True, show_default=False
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Where to write the map, drawn over the picture: a PNG file."),
    ] = None,
    method: Annotated[str, typer.Option(help="As `convserve catalog explanations` lists them.")] = "grad_cam",
    label: Annotated[
        str | None,
        typer.Option("--class", help="The class, label or value to explain; by default what is predicted."),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            help="An option of the method, such as steps=64; can be repeated.", metavar="NAME=VALUE"
        ),
    ] = None,
    json: Json = False,
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Show which parts of a picture a prediction comes from."""
    options = {"class_": label, **_options(option or [])}
    with connect(url, api_key) as client:
        if output is None or json:
            everything(client.models.explain(model, picture, method, **options), as_json=json)
        if output is not None:
            drawn = client.models.explanation_file(model, picture, method, **options)
            try:
                output.write_bytes(drawn)
            except OSError as error:
                raise CommandError(f"cannot write {output}: {error.strerror}") from error
            if not json:
                say(f"{output}: {len(drawn)} bytes")


def _options(written: list[str]) -> dict[str, Any]:
    options = {}
    for pair in written:
        name, equals, value = pair.partition("=")
        if not equals:
            raise CommandError(f"--option {pair} has no value", "write it as NAME=VALUE, such as steps=64")
        options[name] = value
    return options
