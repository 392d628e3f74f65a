"""The commands about architectures: `convserve architectures ...`, `convserve summary` and `convserve diagram`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.options import LOCAL, ApiKey, CommandError, Json, Url, connect
from app.cli.output import everything, listing, say, shape, table

if TYPE_CHECKING:
    from app.api.architectures import Summary
    from app.client import Client

architectures = typer.Typer(
    name="architectures", help="Stored architectures: list, show, store, delete.", no_args_is_help=True
)

ArchitectureArgument = Annotated[
    str,
    typer.Argument(
        metavar="ARCHITECTURE",
        help="The name of a preset, the id of a stored architecture, or a JSON file.",
        show_default=False,
    ),
]
Stored = Annotated[
    str,
    typer.Argument(metavar="ARCHITECTURE", help="The id of a stored architecture.", show_default=False),
]


@architectures.command("list")
def list_architectures(json: Json = False, url: Url = LOCAL, api_key: ApiKey = None) -> None:
    """List the stored architectures, newest first."""
    with connect(url, api_key) as client:
        listing(
            client.architectures.list(),
            {
                "id": lambda entry: entry.id,
                "name": lambda entry: entry.name,
                "input": lambda entry: shape(entry.input_shape),
            },
            as_json=json,
            texts=("name",),
        )


@architectures.command("show")
def show_architecture(
    architecture: Stored, json: Json = False, url: Url = LOCAL, api_key: ApiKey = None
) -> None:
    """Show a stored architecture: its layers, their shapes and costs."""
    with connect(url, api_key) as client:
        everything(client.architectures.get(architecture), as_json=json)


@architectures.command("store")
def store_architecture(
    file: Annotated[
        Path, typer.Argument(help="A JSON file.", exists=True, dir_okay=False, show_default=False)
    ],
    name: Annotated[str | None, typer.Option(help="What to call it; by default like the file.")] = None,
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Store an architecture under a name."""
    with connect(url, api_key) as client:
        stored = client.architectures.create(name or file.stem, _read(file))
    say(f"architecture {stored.id}: {stored.name}")


@architectures.command("delete")
def delete_architecture(architecture: Stored, url: Url = LOCAL, api_key: ApiKey = None) -> None:
    """Delete a stored architecture; jobs and models keep their copies."""
    with connect(url, api_key) as client:
        client.architectures.delete(architecture)
    say(f"architecture {architecture} is deleted")


def summary(
    architecture: ArchitectureArgument,
    formulas: Annotated[bool, typer.Option("--formulas", help="Show how each height is computed.")] = False,
    json: Json = False,
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Show the shapes and costs of an architecture.

    For each layer: the shape of its output, its parameters and multiply-adds, and its receptive field. Below them is
    what is likely to be a mistake.
    """
    with connect(url, api_key) as client:
        found = _summary(client, architecture)
    if json:
        everything(found, as_json=True)
    else:
        print_summary(found, formulas=formulas)
        for hint in found.hints:
            say(f"{hint.node or hint.pointer}: {hint.detail}; {hint.fix} ({hint.code})")


def diagram(
    architecture: ArchitectureArgument,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The file to write: .svg or .png.", show_default=False)
    ],
    nodes: Annotated[bool, typer.Option("--nodes", help="Give every node a box of its own.")] = False,
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Draw an architecture: its layers, the shapes on the arrows between them, and blocks as frames."""
    kinds = {".svg": "image/svg+xml", ".png": "image/png"}
    kind = kinds.get(output.suffix.lower())
    if kind is None:
        raise CommandError(f"{output} is neither SVG nor PNG", "end its name in .svg or .png")
    with connect(url, api_key) as client:
        drawn = client.architectures.diagram(_chosen(client, architecture), folded=not nodes, accept=kind)
    try:
        output.write_bytes(drawn)
    except OSError as error:
        raise CommandError(f"cannot write {output}: {error.strerror}") from error
    say(f"{output}: {len(drawn):,} bytes")


def print_summary(found: Summary, *, formulas: bool = False) -> None:
    """Print the shapes and costs of an architecture, a row for each node."""
    headings = ["layer", "output", "output height", "parameters", "multiply-adds", "receptive field"]
    rows = [["input", shape(found.input_shape), "", "", "", ""]]
    rows += [
        [
            layer.name,
            shape(layer.output_shape),
            layer.formula.get("height", ""),
            f"{layer.parameters:,}" if layer.parameters else "",
            f"{layer.multiply_adds:,}" if layer.multiply_adds else "",
            shape(layer.receptive_field),
        ]
        for layer in found.layers
    ]
    totals = [
        "total",
        shape(found.output_shape),
        "",
        f"{found.totals.parameters:,}",
        f"{found.totals.multiply_adds:,}",
        "",
    ]
    if not formulas:
        for row in (headings, *rows, totals):
            del row[2]
    table(headings, rows, numbers=headings[-3:], totals=totals)


def choice(argument: str) -> str | dict[str, Any]:
    """Turn an argument into what a training job takes as its architecture.

    Raises:
        CommandError: it is a file that cannot be read, or holds no architecture.
    """
    if argument.startswith("arch_"):
        return argument
    path = Path(argument)
    if path.suffix != ".json" and not path.is_file():
        return {"preset": argument}
    return _read(path)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise CommandError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise CommandError(
            f"{path} holds no architecture", 'it should be {"input_shape": [...], "layers": [...]}'
        )
    return content


def _summary(client: Client, argument: str) -> Summary:
    chosen = _chosen(client, argument)
    if isinstance(chosen, str):
        return client.architectures.get(chosen).summary
    return client.architectures.summary(chosen)


def _chosen(client: Client, argument: str) -> str | dict[str, Any]:
    """Return the id of a stored architecture, or what was written out: a file, or a preset."""
    chosen = choice(argument)
    if isinstance(chosen, str) or "preset" not in chosen:
        return chosen
    presets = {preset.name: preset.architecture for preset in client.catalog.presets()}
    if argument not in presets:
        raise CommandError(
            f"there is no preset {argument!r}",
            f"there are {', '.join(sorted(presets))}; a stored architecture has an id like arch_..., "
            "and a file is named by its path",
        )
    return presets[argument]
