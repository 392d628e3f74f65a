"""Sections of docs/accuracy.md that commands of their own write, each between two marks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "accuracy.md"
SECTIONS = ("transfer", "defaults")


def put(name: str, lines: Iterable[str]) -> None:
    """Write a section anew."""
    between = "\n".join(lines)
    text = _with(PAGE.read_text(encoding="utf-8"), name, f"\n\n{between}\n\n")
    PAGE.write_text(text, encoding="utf-8")


def kept(text: str) -> str:
    """Return the text of the whole page with the sections that are in the page as it is."""
    page = PAGE.read_text(encoding="utf-8")
    for name in SECTIONS:
        begin, end = _marks(name)
        text = _with(text, name, page.partition(begin)[2].partition(end)[0])
    return text


def _with(text: str, name: str, section: str) -> str:
    begin, end = _marks(name)
    return f"{text.partition(begin)[0]}{begin}{section}{end}{text.partition(end)[2]}"


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- {name} -->", f"<!-- /{name} -->"
