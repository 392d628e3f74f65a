"""What commands print: lines, tables, everything about one thing, JSON.

Printed as text and nothing else: a pipe gets every character, whatever its width is taken for. On a terminal only what
people have written (names, titles) is shortened to fit, never an id or a number.
"""

from __future__ import annotations

import json
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterable, Sequence, Set
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from app.text import percent as in_percent

if TYPE_CHECKING:
    from pydantic import BaseModel

    from app.client import ConvserveError

B = TypeVar("B", bound="BaseModel")

WIDTH = 80
"""Columns of a terminal that text is broken for."""
SHORTEST = 12
"""Columns that a shortened text keeps."""
_GAP = "  "
_UNPRINTABLE = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Categories of Unicode: controls, invisible formats, halves of pairs, separators of lines."""


def say(text: str = "", *, error: bool = False) -> None:
    """Print a line, on request where errors go.

    What would move the cursor or colour the terminal is replaced: names come from other people's files.
    """
    typer.echo(printable(text), err=error)


def say_lines(text: str) -> None:
    """Print a text of many lines that programs have written, such as a log, the last one perhaps not at its end.

    A pipe gets it as it is; on a terminal what would move the cursor or colour it is replaced.
    """
    typer.echo(printable(text, "\n\t") if sys.stdout.isatty() else text, nl=False)


def percent(share: float | None) -> str:
    """Write a share of 1 as `97.5 %`."""
    return "–" if share is None else in_percent(share, 1)


def shape(sizes: Sequence[int]) -> str:
    """Write a shape for people: `28 × 28 × 6`."""
    return " × ".join(str(size) for size in sizes)


def number(value: float | None) -> str:
    """Write a number with four significant digits."""
    return "–" if value is None else f"{value:.4g}"


def duration(seconds: float) -> str:
    """Write seconds as `2:05`, or `1:02:05`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    texts: Sequence[str] = (),
    numbers: Sequence[str] = (),
    totals: Sequence[str] | None = None,
) -> None:
    """Print rows below headings.

    Args:
        headings: of the columns.
        rows: a cell for each column.
        texts: the headings of columns that may be shortened on a narrow terminal.
        numbers: the headings of columns that are aligned to the right.
        totals: a last row, below a line.
    """
    cells = [
        [printable(cell, "") for cell in row] for row in [headings, *rows, *([totals] if totals else [])]
    ]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    if sys.stdout.isatty():
        excess = sum(widths) + len(_GAP) * (len(widths) - 1) - shutil.get_terminal_size().columns
        for place, heading in enumerate(headings):
            if heading in texts and excess > 0:
                kept = max(widths[place] - excess, min(widths[place], SHORTEST))
                excess -= widths[place] - kept
                widths[place] = kept
    lines = [
        _GAP.join(
            _fitted(cell, width, right=heading in numbers)
            for cell, width, heading in zip(row, widths, headings, strict=True)
        ).rstrip()
        for row in cells
    ]
    rule = _GAP.join("-" * width for width in widths)
    lines.insert(1, rule)
    if totals:
        lines.insert(-1, rule)
    say("\n".join(lines))


def listing(
    entries: Iterable[B],
    columns: dict[str, Callable[[B], str]],
    *,
    as_json: bool,
    texts: Sequence[str] = (),
    numbers: Sequence[str] = (),
) -> None:
    """Print a list: a row for each entry with what `columns` make of it, or all of it as JSON."""
    if as_json:
        documents = ",\n".join(entry.model_dump_json(indent=2) for entry in entries)
        say(f"[{documents}]")
        return
    rows = [[cell(entry) for cell in columns.values()] for entry in entries]
    table(list(columns), rows, texts=texts, numbers=numbers)


def everything(entry: BaseModel, *, as_json: bool, without: Set[str] = frozenset()) -> None:
    """Print every field of an answer, a line for each but for those without which it is to be, or as JSON."""
    if as_json:
        say(entry.model_dump_json(indent=2))
        return
    say("\n".join(_lines(entry.model_dump(mode="json", exclude=set(without)))))


def print_error(detail: str, hint: str | None = None) -> None:
    """Say what is wrong and what would fix it."""
    typer.secho("Error: ", fg="red", bold=True, err=True, nl=False)
    say(detail, error=True)
    if hint:
        typer.secho("Hint: ", bold=True, err=True, nl=False)
        say(hint, error=True)


def print_refusal(error: ConvserveError) -> None:
    """Say what the service finds wrong, where, and what would fix it."""
    lines = [error.detail]
    for fault in error.faults:
        place = fault.pointer or fault.parameter
        if fault.detail not in error.detail:
            lines.append(f"  {place}: {fault.detail}" if place else f"  {fault.detail}")
    print_error("\n".join(lines), error.hint)


def _lines(fields: dict[str, Any], indent: str = "") -> list[str]:
    """Return a line for each field; what a field consists of is below it, one level further in."""
    width = max((len(name) for name in fields), default=0)
    lines = []
    for name, value in fields.items():
        if isinstance(value, dict) and value:
            lines += [f"{indent}{name}", *_lines(value, indent + _GAP)]
        elif isinstance(value, list) and any(isinstance(member, dict | list) for member in value):
            lines.append(f"{indent}{name}")
            lines += [f"{indent}{_GAP}{json.dumps(member, ensure_ascii=False)}" for member in value]
        else:
            lines.append(f"{indent}{name:{width}}{_GAP}{_value(value)}")
    return lines


def _value(value: Any) -> str:
    if value is None or value in ([], {}):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    return printable(str(value), "")


def printable(text: str, kept: str = "\n") -> str:
    """Replace what would move the cursor or colour the terminal."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}"
        if unicodedata.category(character) in _UNPRINTABLE and character not in kept
        else character
        for character in text
    )


def _width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(unicodedata.combining(character) > 0 for character in text)


def _fitted(text: str, width: int, *, right: bool) -> str:
    if _width(text) > width:
        while _width(text) >= width:
            text = text[:-1]
        text += "…"
    padding = " " * (width - _width(text))
    return padding + text if right else text + padding
