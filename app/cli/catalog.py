"""The commands about the catalog: `convserve catalog ...`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import typer

from app.cli.options import LOCAL, ApiKey, Json, Url, connect
from app.cli.output import listing, shape

if TYPE_CHECKING:
    from app.client import Client

catalog = typer.Typer(name="catalog", help="What there is to build and train with.", no_args_is_help=True)


def _list(what: str, read: Callable[[Client], Iterable[Any]]) -> None:
    """Add a command that lists some of the catalog."""

    def command(json: Json = False, url: Url = LOCAL, api_key: ApiKey = None) -> None:
        with connect(url, api_key) as client:
            listing(
                read(client),
                {"name": lambda part: part.name, "what it is": lambda part: part.title},
                as_json=json,
                texts=("what it is",),
            )

    catalog.command(what, help=f"List the {what}; with --json everything about them.")(command)


_list("layers", lambda client: client.catalog.layers())
_list("filters", lambda client: client.catalog.filters())
_list("optimizers", lambda client: client.catalog.optimizers())
_list("schedules", lambda client: client.catalog.schedules())
_list("losses", lambda client: client.catalog.losses())
_list("augmentations", lambda client: client.catalog.augmentations())
_list("initializers", lambda client: client.catalog.initializers())
_list("explanations", lambda client: client.catalog.explanations())


@catalog.command("presets")
def list_presets(json: Json = False, url: Url = LOCAL, api_key: ApiKey = None) -> None:
    """List the presets; with --json everything about them."""
    with connect(url, api_key) as client:
        listing(
            client.catalog.presets(),
            {
                "name": lambda preset: preset.name,
                "input": lambda preset: shape(preset.input_shape),
                "what it is": lambda preset: preset.title,
            },
            as_json=json,
            texts=("what it is",),
        )
