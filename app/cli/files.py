"""Files that commands write: what is in them follows from how their names end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from app.cli.options import CommandError
from app.cli.output import say

_FORMS = {
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".npz": "application/x-npz",
    ".json": "application/json",
}

Pictures = Annotated[
    list[Path],
    typer.Argument(
        metavar="PICTURE...",
        help="Picture files.",
        exists=True,
        dir_okay=False,
        readable=True,
        show_default=False,
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "-o", "--output", help="The file to write, in the form that its ending says: .png, .json ..."
    ),
]


def form(output: Path, *endings: str) -> str:
    """Return the media type that a file is to have, by its ending.

    Raises:
        CommandError: its ending is none of these.
    """
    ending = output.suffix.lower()
    if ending not in endings:
        *others, last = endings
        raise CommandError(
            f"{output} has an ending that this command does not write",
            f"end its name in {', '.join(others)} or {last}",
        )
    return _FORMS[ending]


def save(output: Path, content: bytes) -> None:
    """Write a file, and say so."""
    try:
        output.write_bytes(content)
    except OSError as error:
        raise CommandError(f"cannot write {output}: {error.strerror}") from error
    say(f"{output}: {len(content):,} bytes")


def one_for_each(output: Path, pictures: Sequence[Path]) -> list[Path]:
    """Return the file to write for each picture: of several, their names stand before that of the file.

    Raises:
        CommandError: two of them would be the same file.
    """
    if len(pictures) == 1:
        return [output]
    files = [output.with_name(f"{picture.stem}-{output.name}") for picture in pictures]
    twice = next((file for file in files if files.count(file) > 1), None)
    if twice is not None:
        raise CommandError(f"{twice} would be written for two pictures", "give them different names")
    return files
