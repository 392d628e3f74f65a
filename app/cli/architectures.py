"""The commands about architectures: `convserve architectures ...`, `convserve summary` `diagram` and `compare`."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.files import form, save
from app.cli.options import LOCAL, ApiKey, CommandError, Json, Url, connect
from app.cli.output import WIDTH, everything, listing, say, shape, table

if TYPE_CHECKING:
    from app.api.architectures import ArchitectureComparison, Summary
    from app.client import Client

architectures = typer.Typer(
    name="architectures", help="Stored architectures: list, show, store, delete.", no_args_is_help=True
)

ArchitectureArgument = Annotated[
    str,
    typer.Argument(
        metavar="ARCHITECTURE",
        help="The name of a preset, the id of a stored architecture, a model, or a JSON file.",
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
    """Draw an architecture.

    Its layers are boxes, with the shapes on the arrows between them; blocks are frames around their layers.
    """
    kind = form(output, ".svg", ".png")
    with connect(url, api_key) as client:
        drawn = client.architectures.diagram(_described(client, architecture), folded=not nodes, accept=kind)
    save(output, drawn)


def compare(
    first: ArchitectureArgument,
    second: ArchitectureArgument,
    json: Json = False,
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Compare two architectures.

    What each costs and sees stands side by side; below are the layers in which they differ.
    """
    with connect(url, api_key) as client:
        found = client.architectures.compare(_described(client, first), _described(client, second))
    if json:
        everything(found, as_json=True)
    else:
        _print_comparison(found)


def _print_comparison(found: ArchitectureComparison) -> None:
    first, second = (each.name for each in found.architectures)
    headings = ["", first, second, "difference"]
    if first == second:
        headings[1:3] = [f"{first} (1)", f"{second} (2)"]
    rows = [
        [name.replace("_", " "), *(f"{value:,}" for value in each.values), f"{each.difference:+,}"]
        for name, each in found.differences
    ]
    table(headings, rows, texts=headings[1:3], numbers=headings[1:])
    say(f"{found.unchanged} layers are alike")
    for layer in found.layers:
        before, after = layer.names
        name = f"{before} -> {after}" if layer.change == "renamed" else str(after or before)
        changes = [f"{key} {_brief(old)} -> {_brief(new)}" for key, (old, new) in layer.values.items()]
        shown = f": {', '.join(changes)}" if layer.change == "changed" else ""
        say(textwrap.fill(f"{layer.change} {name}{shown}", WIDTH, subsequent_indent="  "))


def _brief(value: Any) -> str:
    if not isinstance(value, list) or not value:
        return str(value)
    return shape(value) if isinstance(value[0], int) else ", ".join(map(str, value))


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
        raise CommandError(
            f"{path} is not JSON: {error}", 'it should hold {"input_shape": [...], "layers": [...]}'
        ) from error
    if not isinstance(content, dict):
        raise CommandError(
            f"{path} holds no architecture", 'it should be {"input_shape": [...], "layers": [...]}'
        )
    return content


def _summary(client: Client, argument: str) -> Summary:
    chosen = _described(client, argument)
    if isinstance(chosen, str):
        return client.architectures.get(chosen).summary
    return client.architectures.summary(chosen)


def _described(client: Client, argument: str) -> str | dict[str, Any]:
    """Return an id, `{"preset": name}`, or an architecture written out, as calls of the service take it."""
    if argument.startswith("model_") or "@" in argument:
        return client.models.get(argument).architecture
    return choice(argument)
