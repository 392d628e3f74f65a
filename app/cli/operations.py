"""The commands that compute one layer: `convserve filter` and `convserve operations`."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.files import Output, Pictures, form, one_for_each, save
from app.cli.options import LOCAL, ApiKey, CommandError, Json, Url, connect, read_json
from app.cli.output import WIDTH, everything, say, shape

if TYPE_CHECKING:
    from app.api.operations import OperationAnswer

_ENDINGS = (".png", ".svg", ".npz", ".json")
_MOST_LINES = 40

PixelRange = Annotated[
    str | None,
    typer.Option("--range", help="How numbers become pixels of a PNG: auto, clip, signed or stretch."),
]
Positions = Annotated[
    list[str] | None,
    typer.Option(
        "--position", help="Show the arithmetic of this number: row,column[,channel]; can be repeated."
    ),
]


def filter_pictures(
    pictures: Pictures,
    kernel: Annotated[
        str,
        typer.Argument(
            help="A name, as `convserve catalog filters` lists them, or numbers in JSON, or @file.json.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="The file to write: .png, .svg (a figure), .npz or .json. Of several pictures, the names of these "
            "stand before it.",
            show_default=False,
        ),
    ],
    padding: Annotated[str | None, typer.Option(help="valid, same, or a number of pixels.")] = None,
    stride: Annotated[int | None, typer.Option(help="Pixels from one window to the next.")] = None,
    dilation: Annotated[
        int | None, typer.Option(help="Pixels from one cell of the filter to the next.")
    ] = None,
    bias: Annotated[float | None, typer.Option(help="What is added to each sum.")] = None,
    activation: Annotated[str | None, typer.Option(help="What is applied at the end, such as relu.")] = None,
    flip: Annotated[bool, typer.Option("--flip", help="Turn the filter first, as mathematics does.")] = False,
    grey: Annotated[bool, typer.Option("--grey", help="Make the picture grey first.")] = False,
    position: Positions = None,
    pixels: PixelRange = None,
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Apply a filter to pictures."""
    given = {
        "kernel": _value("KERNEL", kernel),
        "padding": _size(padding),
        "stride": stride,
        "dilation": dilation,
        "bias": bias,
        "activation": activation,
        "flip": flip or None,
        "channels": 1 if grey else None,
        "trace": _trace(position),
    }
    accept, files = form(output, *_ENDINGS), one_for_each(output, pictures)
    with connect(url, api_key) as client:
        for picture, file in zip(pictures, files, strict=True):
            save(
                file,
                client.operations.file("convolve", picture, accept=accept, range_=pixels, **_chosen(given)),
            )


def operations(
    operation: Annotated[
        str,
        typer.Argument(
            metavar="TYPE",
            help="The type of a layer, as `convserve catalog layers` lists them, or convolve.",
            show_default=False,
        ),
    ],
    given: Annotated[
        list[str],
        typer.Option(
            "--input",
            help="Numbers in JSON, @file.json, or a picture; repeated for layers of several inputs.",
            show_default=False,
        ),
    ],
    layer: Annotated[
        str | None, typer.Option(help="The hyperparameters, a JSON object or @file.json.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="Arrays by their names, or a seed, a JSON object or @file.json.")
    ] = None,
    kernel: Annotated[str | None, typer.Option(help="Of convolve: a name, JSON or @file.json.")] = None,
    trace: Annotated[bool, typer.Option("--trace", help="Show how the first numbers come about.")] = False,
    position: Positions = None,
    gradients: Annotated[
        bool, typer.Option("--gradients", help="With the gradients of the output's sum; needs --json.")
    ] = False,
    output: Output = None,
    pixels: PixelRange = None,
    json: Json = False,
    url: Url = LOCAL,
    api_key: ApiKey = None,
) -> None:
    """Compute one layer or block.

    It prints the output, or writes it into a file: .png, .svg (a figure), .npz or .json.
    """
    fields = _chosen(
        {
            "layer": _value("--layer", layer),
            "weights": _value("--weights", weights),
            "kernel": _value("--kernel", kernel),
            "trace": _trace(position) or trace or None,
            "output_gradient": "ones" if gradients else None,
        }
    )
    inputs = [_input(text) for text in given]
    if len(inputs) > 1:
        if any(isinstance(each, Path) for each in inputs):
            raise CommandError("--input: several inputs have to be numbers", "write them in JSON")
        fields["inputs"] = inputs
    first = inputs[0] if len(inputs) == 1 else None
    accept = None if output is None else form(output, *_ENDINGS)
    with connect(url, api_key) as client:
        if output is not None and accept is not None:
            save(output, client.operations.file(operation, first, accept=accept, range_=pixels, **fields))
            return
        answer = client.operations.run(operation, first, **fields)
    if json:
        everything(answer, as_json=True)
    else:
        _print(answer)


def _print(answer: OperationAnswer) -> None:
    say(f"output {shape(answer.output_shape)}")
    for name, formula in answer.formula.items():
        say(f"  {name} = {formula}")
    grids = _grids(answer.output, len(answer.output_shape))
    lines = [line for grid in grids for line in grid]
    if len(lines) > _MOST_LINES or max(map(len, lines)) > WIDTH:
        say("  it is too large to be shown: write it into a file with -o, or ask for --json")
    else:
        say("\n".join(lines))
    for traced in answer.trace or ():
        text = f"{traced.position}: {traced.expression}"
        say(textwrap.fill(text, WIDTH, subsequent_indent="  "))


def _grids(numbers: Sequence[Any], axes: int) -> list[list[str]]:
    """Write a vector as a row, a map (H, W) as rows, and one (H, W, C) as those of each channel."""
    if axes == 3 and isinstance(numbers[0][0], list):
        channels = range(len(numbers[0][0]))
        return [
            [f"channel {channel}", *_rows([[cell[channel] for cell in row] for row in numbers])]
            for channel in channels
        ]
    return [_rows(numbers if isinstance(numbers[0], list) else [numbers])]


def _rows(rows: Sequence[Sequence[float | None]]) -> list[str]:
    cells = [["–" if number is None else f"{number:.4g}" for number in row] for row in rows]
    width = max(len(cell) for row in cells for cell in row)
    return ["  " + "  ".join(cell.rjust(width) for cell in row) for row in cells]


def _input(text: str) -> Any:
    """Read numbers, or take the text for the name of a picture."""
    found = read_json("--input", text)
    if found is not None:
        return found
    path = Path(text)
    if not path.is_file():
        raise CommandError(
            f"--input: there is no picture {text!r}", "numbers are written like [[1, 2], [3, 4]]"
        )
    return path


def _value(option: str, text: str | None) -> Any:
    """Read JSON, or take the text for a name."""
    found = None if text is None else read_json(option, text)
    return text if found is None else found


def _size(text: str | None) -> str | int | None:
    return int(text) if text is not None and text.isdecimal() else text


def _trace(positions: Sequence[str] | None) -> dict[str, Any] | None:
    if not positions:
        return None
    try:
        return {"positions": [[int(number) for number in text.split(",")] for text in positions]}
    except ValueError:
        raise CommandError(
            "--position: this is no place of a number", "write row,column[,channel], such as 3,4"
        ) from None


def _chosen(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
