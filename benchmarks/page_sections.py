"""Sections of pages in docs/ that commands of their own write, each between `<!-- name -->` and `<!-- /name -->`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"


def put(page: str, name: str, lines: Iterable[str]) -> None:
    """Write a section of a page anew."""
    between = "\n".join(lines)
    path = DOCS / page
    path.write_text(_with(path.read_text(encoding="utf-8"), name, f"\n\n{between}\n\n"), encoding="utf-8")


def kept(page: str, text: str) -> str:
    """Return the text of a whole page with the sections that are in the page as it is."""
    written = (DOCS / page).read_text(encoding="utf-8")
    for name in re.findall(r"<!-- (\w+) -->", text):
        begin, end = _marks(name)
        text = _with(text, name, written.partition(begin)[2].partition(end)[0])
    return text


def _with(text: str, name: str, section: str) -> str:
    begin, end = _marks(name)
    return f"{text.partition(begin)[0]}{begin}{section}{end}{text.partition(end)[2]}"


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- {name} -->", f"<!-- /{name} -->"
