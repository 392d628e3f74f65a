"""The pages in docs/learn are what the service answers today."""

import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest

from examples.learn import pages, writing

NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?")
CLOSE = 1e-3
MOST_BYTES, MOST_BYTES_OF_ALL = 60_000, 1_000_000


def assert_alike(made: str, kept: str, where: str) -> None:
    """Compare words exactly and numbers to 1e-3, for their last digits differ between processors."""
    assert NUMBER.sub("#", made) == NUMBER.sub("#", kept), f"{where}: run make docs"
    for now, then in zip(NUMBER.findall(made), NUMBER.findall(kept), strict=True):
        close = math.isclose(float(now), float(then), rel_tol=CLOSE, abs_tol=CLOSE)
        assert close, f"{where}: {now}, not {then}: run make docs"


def outline(svg: str) -> str:
    """Return the elements of a figure and its text."""
    elements = ElementTree.fromstring(svg).iter()  # noqa: S314 - our own
    return "\n".join(f"{element.tag} {(element.text or '').strip()}" for element in elements)


TRAINS = "learning"  # a page that waits for a training job

SECTIONS = [pytest.param(name, marks=pytest.mark.slow) if name == TRAINS else name for name in pages.SECTIONS]


@pytest.mark.parametrize("name", SECTIONS)
def test_a_page_is_what_is_answered(http: httpx.Client, name: str, tmp_path: Path) -> None:
    page = pages.write_page(name, http, tmp_path)
    assert_alike(page.read_text(encoding="utf-8"), (pages.DOCS / page.name).read_text(encoding="utf-8"), name)
    made = {file.name for file in (tmp_path / pages.FIGURES).iterdir()}
    assert made == {file.name for file in (pages.DOCS / pages.FIGURES).glob(f"{name}-*")}
    for file in (tmp_path / pages.FIGURES).glob("*.svg"):
        kept = pages.DOCS / pages.FIGURES / file.name
        now, then = (outline(each.read_text(encoding="utf-8")) for each in (file, kept))
        assert_alike(now, then, file.name)


def test_there_are_no_other_pages_and_figures_are_small() -> None:
    assert {file.stem for file in pages.DOCS.glob("*.md")} == set(pages.SECTIONS)
    figures = list((pages.DOCS / pages.FIGURES).iterdir())
    assert {file.name for file in figures if file.name.partition("-")[0] not in pages.SECTIONS} == set()
    sizes = {file.name: file.stat().st_size for file in figures}
    assert {name for name, size in sizes.items() if size > MOST_BYTES} == set()
    assert sum(sizes.values()) < MOST_BYTES_OF_ALL


def test_the_first_page_of_the_documentation_lists_them_in_order() -> None:
    index = (pages.DOCS.parent / "index.md").read_text(encoding="utf-8")
    listed = re.findall(r"\[([^\]]+)\]\(learn/(\w+)\.md\)", index)
    assert listed == [(pages.title(name), name) for name in pages.SECTIONS]


def test_a_section_runs_as_a_script(server: str) -> None:
    command = [sys.executable, "-m", f"examples.learn.{pages.SECTIONS[0]}", server]
    ended = subprocess.run(command, cwd=pages.FOLDER.parents[1], capture_output=True, text=True, check=True)
    assert "POST /v1/operations/convolve" in ended.stdout
    assert "[0, 30, 30, 0]" in ended.stdout


def test_differences_are_found() -> None:
    assert_alike("at 0.50012 of 3", "at 0.5 of 3", "here")
    for other in ("at 0.6 of 3", "as 0.5 of 3", "at 0.5 of"):
        with pytest.raises(AssertionError, match="make docs"):
            assert_alike(other, "at 0.5 of 3", "here")


def test_numbers_are_written_for_people() -> None:
    assert [writing.number(value) for value in (3.0, -0.0, 1 / 3, 61706, 1e-7)] == [
        "3",
        "0",
        "0.3333",
        "61706",
        "1e-07",
    ]
    assert writing.words([28, 28, 6]) == "28 x 28 x 6"
    assert writing.matrix([[1, -10], [0.5, 2]]) == "  1  -10\n0.5    2"
    rows: list[dict[str, Any]] = [{"name": "a", "size": [2, 3], "count": 1200}, {"name": "b", "size": [4]}]
    assert writing.table(rows, ["name", "size/0=first_size", "count"]).splitlines() == [
        "| name | first size | count |",
        "|---|---:|---:|",
        "| a | 2 | 1,200 |",
        "| b | 4 |  |",
    ]
    cut = writing.document({"a": list(range(20)), "b": "x" * 200})
    assert cut == '{"a": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ...], "b": "' + "x" * 30 + '..."}'
    assert (
        writing.document([[100] * 8] * 2) == "[\n  [" + "],\n  [".join([", ".join(["100"] * 8)] * 2) + "]\n]"
    )
