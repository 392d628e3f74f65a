"""The commands that look inside models: `convserve activations` and `convserve filters`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.files import Output, form, save
from app.cli.models import Reference
from app.cli.options import LOCAL, ApiKey, CommandError, Json, Url, connect
from app.cli.output import everything, listing, number, percent, say, shape, table

if TYPE_CHECKING:
    from app.api.insides import Account, Spread

_ENDINGS = (".png", ".npz", ".json")

Node = Annotated[str | None, typer.Option(help="The name of a node of the network.")]
Picture = Annotated[
    Path,
    typer.Argument(help="A picture file.", exists=True, dir_okay=False, readable=True, show_default=False),
]


def activations(
    model: Reference,
    picture: Picture,
    node: Node = None,
    gradient: Annotated[
        str | None,
        typer.Option(help="`score` or `loss`: show its gradient in place of what nodes put out."),
    ] = None,
    class_: Annotated[
        str | None, typer.Option("--class", help="Of what the gradient is; by default of what is predicted.")
    ] = None,
    output: Output = None,
    json: Json = False,
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Show what the nodes of a model put out, or the gradients in them.

    Every node is shown in short, or one of them. With -o they are
    drawn (.png), or written as .npz (of one node) or .json.
    """
    of: dict[str, str | None] = {"gradient": gradient, "class_": class_}
    # Only one node's numbers are an array.
    endings = (".png", ".json") if node is None else _ENDINGS
    accept = None if output is None else form(output, *endings)
    with connect(url, api_key) as client:
        if output is not None and accept is not None:
            content = (
                client.models.account_file(model, picture, accept=accept, **of)
                if node is None
                else client.models.activations_file(model, [picture], node, accept=accept, **of)
            )
            save(output, content)
        elif node is None:
            found = client.models.account(model, [picture], gradient=gradient, class_=class_)
            if json:
                everything(found, as_json=True)
            else:
                _print_account(found.data[0])
        else:
            shown = client.models.activations(model, [picture], node, **of)
            if json:
                everything(shown, as_json=True)
            else:
                say(f"{shown.node} ({shown.type}), {shape(shown.shape)}: {_spread(shown.data[0].statistics)}")


def filters(
    model: Reference,
    node: Node = None,
    output: Output = None,
    json: Json = False,
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Show the filters of a model.

    Those of every node are shown in short, or each of one node. With -o the latter are
    drawn (.png), or written as .npz or .json.
    """
    accept = None if output is None else form(output, *_ENDINGS)
    if output is not None and node is None:
        raise CommandError(
            "the filters of one node are written at a time, and --node is missing",
            f"`convserve filters {model}` lists the nodes that have some",
        )
    with connect(url, api_key) as client:
        if node is None:
            listing(
                client.models.filters(model),
                {
                    "node": lambda entry: entry.node,
                    "filters": lambda entry: str(entry.filters),
                    "shape": lambda entry: shape(entry.shape),
                    "norm": lambda entry: number(entry.norm),
                    "minimum": lambda entry: number(entry.statistics.minimum),
                    "maximum": lambda entry: number(entry.statistics.maximum),
                },
                as_json=json,
                numbers=("filters", "norm", "minimum", "maximum"),
            )
        elif output is not None and accept is not None:
            save(output, client.models.filters_file(model, node, accept=accept))
        elif json:
            everything(client.models.node_filters(model, node), as_json=True)
        else:
            listing(
                client.models.node_filters(model, node).data,
                {
                    "filter": lambda entry: str(entry.index),
                    "norm": lambda entry: number(entry.norm),
                    "bias": lambda entry: number(entry.bias),
                    "minimum": lambda entry: number(entry.statistics.minimum),
                    "mean": lambda entry: number(entry.statistics.mean),
                    "maximum": lambda entry: number(entry.statistics.maximum),
                },
                as_json=False,
                numbers=("filter", "norm", "bias", "minimum", "mean", "maximum"),
            )


def _print_account(account: Account) -> None:
    numbers = ["minimum", "mean", "maximum", "zeros"]
    rows = [
        [
            node.name,
            shape(node.shape),
            number(node.minimum),
            number(node.mean),
            number(node.maximum),
            percent(node.zeros),
        ]
        for node in account.nodes
    ]
    table(["node", "output", *numbers], rows, numbers=numbers)


def _spread(spread: Spread) -> str:
    return (
        f"{number(spread.minimum)} to {number(spread.maximum)}, mean {number(spread.mean)}, "
        f"{percent(spread.zeros)} zeros"
    )
