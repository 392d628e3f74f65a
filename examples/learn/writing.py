"""Writes calls, answers and their numbers, with four significant digits, for people to read."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import httpx

_DIGITS = 4
_LONGEST_WORD = 60
_LONGEST_LIST = 12
_LONG_LINE, _SHORT_LINE = 100, 72


def number(value: float) -> str:
    """Write a number: whole ones as they are, others with four significant digits."""
    if isinstance(value, bool):
        return json.dumps(value)
    if value == int(value) and abs(value) < 1e9:
        return str(int(value))
    return f"{value:.{_DIGITS}g}"


def at(value: Any, pointer: str) -> Any:
    """Return what a JSON pointer leads to, its first slash left out: `layers/0/name`; `-1` is the last of a list."""
    for key in pointer.split("/") if pointer else ():
        value = value[int(key)] if isinstance(value, list) else value[key.replace("~1", "/")]
    return value


def words(value: Any) -> str:
    """Write a value within a sentence or a table: a shape as `28 x 28 x 6`, other lists with commas."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        shape = all(isinstance(entry, int) and entry > 0 for entry in value)
        return (" x " if shape else ", ").join(words(entry) for entry in value)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return number(value)


def matrix(rows: Sequence[Sequence[Any]]) -> str:
    """Write a map of one channel, (H, W) or (H, W, 1), in rows and columns."""
    cells = [[number(value[0] if isinstance(value, list) else value) for value in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return "\n".join("  ".join(map(str.rjust, row, widths)) for row in cells)


def table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
    """Write a table; a column is a pointer into each row, or `pointer=title`; `!pointer` leaves out rows without it."""
    needed = [column.lstrip("!").partition("=")[0] for column in columns if column.startswith("!")]
    rows = [row for row in rows if all(_found(row, pointer) is not None for pointer in needed)]
    columns = [column.lstrip("!") for column in columns]
    pairs = [(column.partition("=")[0], column.rpartition("=")[2].replace("_", " ")) for column in columns]
    lines = [[title for _, title in pairs]]
    lines += [[words(_found(row, pointer)) for pointer, _ in pairs] for row in rows]
    text = [f"| {' | '.join(line)} |" for line in lines]
    numeric = [
        all(isinstance(_found(row, pointer), int | float | None) for row in rows) for pointer, _ in pairs
    ]
    text.insert(1, f"|{'|'.join('---:' if right else '---' for right in numeric)}|")
    return "\n".join(text)


def document(value: Any, indent: str = "") -> str:
    """Write JSON, rows of numbers on a line each; long lists and words are cut, which `...` says."""
    flat = _flat(value)
    nested = isinstance(value, dict) or (
        isinstance(value, list) and any(isinstance(entry, list | dict) for entry in value)
    )
    if not nested or len(flat) <= (_SHORT_LINE if "[[" in flat else _LONG_LINE - len(indent)):
        return flat
    inner = indent + "  "
    if isinstance(value, dict):
        opening, closing = "{}"
        lines = [f"{json.dumps(key)}: {document(entry, inner)}" for key, entry in value.items()]
    else:
        opening, closing = "[]"
        lines = [document(entry, inner) for entry in value[:_LONGEST_LIST]]
        lines += ["..."] * (len(value) > _LONGEST_LIST)
    return f"{opening}\n{inner}" + f",\n{inner}".join(lines) + f"\n{indent}{closing}"


def call(answer: httpx.Response) -> str:
    """Write the request that was answered: its address and JSON, or the command of curl that sends its files."""
    request = answer.request
    target = request.url.raw_path.decode()
    accept = request.headers["accept"]
    if request.headers.get("content-type", "").startswith("multipart/"):
        form = re.findall(rb'name="(\w+)"; filename="([^"]+)"', request.read())
        files = " ".join(f"-F {field.decode()}=@{file.decode()}" for field, file in form)
        wanted = "" if accept == "*/*" else f" -H 'Accept: {accept}'"
        return f"curl {files}{wanted} \\\n    'http://127.0.0.1:8000{target}'"
    lines = [f"{request.method} {target}"]
    lines += [] if accept == "*/*" else [f"Accept: {accept}"]
    body = request.read()
    return "\n".join([*lines, document(json.loads(body))] if body else lines)


def short_answer(answer: httpx.Response, *pointers: str) -> str:
    """Write the parts of an answer that pointers lead to, by default all of it; of a picture, how long it is."""
    kind = answer.headers.get("content-type", "")
    if "json" not in kind:
        return f"{kind}, {len(answer.content):,} bytes"
    value = answer.json()
    return document(
        {pointer.rpartition("/")[2]: at(value, pointer) for pointer in pointers} if pointers else value
    )


def _found(row: dict[str, Any], pointer: str) -> Any:
    try:
        return at(row, pointer)
    except (KeyError, IndexError, TypeError):
        return None


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{key}": {_flat(entry)}' for key, entry in value.items()) + "}"
    if isinstance(value, list):
        entries = [_flat(entry) for entry in value[:_LONGEST_LIST]]
        return "[" + ", ".join(entries + ["..."] * (len(value) > _LONGEST_LIST)) + "]"
    if isinstance(value, str):
        kept = value if len(value) <= 2 * _LONGEST_WORD else value[: _LONGEST_WORD // 2] + "..."
        return json.dumps(kept, ensure_ascii=False)
    return json.dumps(value) if value is None or isinstance(value, bool) else number(value)
