"""Makes docs/learn of the scripts and their prose: `make docs`.

In the prose, `{{name form ...}}` stands for something of the answer that the script calls `name`:

    {{edges call}}                        the request
    {{edges answer output formula}}       JSON of some of its fields, by default of all
    {{edges matrix output}}               numbers in rows and columns
    {{edges value formula/height}}        one number or word in a sentence
    {{net table layers name parameters}}  a row for each entry of a list, with these columns
    {{figure file}}                       the name of a file with the picture that was answered
"""

from __future__ import annotations

import importlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx

from examples.learn import writing
from examples.learn.service import Answers, Section, connected

SECTIONS = (
    "filters",
    "padding",
    "stride",
    "convolution",
    "pooling",
    "convolutional_layer",
    "pooling_layer",
    "fully_connected_layer",
    "network",
    "why",
    "preprocessing",
    "learning",
    "resnet",
    "inception",
    "inside",
    "explanations",
)
"""In the order of the article."""

FOLDER = Path(__file__).resolve().parent
DOCS = FOLDER.parents[1] / "docs" / "learn"
FIGURES = "figures"

_PLACE = re.compile(r"\{\{(\w+) (\w+)([^{}]*)\}\}")
_ENDINGS = {"image/svg+xml": "svg", "image/png": "png"}


@dataclass(frozen=True)
class _Page:
    """A page that is being written."""

    name: str
    answers: Answers
    directory: Path

    def written(self, prose: str) -> str:
        """Return the prose with what stands for something of an answer replaced by it."""
        return _PLACE.sub(lambda place: self._replaced(place[1], place[2], place[3].split()), prose)

    def _replaced(self, name: str, form: str, arguments: list[str]) -> str:
        answer = self.answers[name]
        match form, arguments:
            case "call", []:
                return _block("bash" if (text := writing.call(answer)).startswith("curl") else "text", text)
            case "answer", pointers:
                return _block("json", writing.short_answer(answer, *pointers))
            case "matrix", [pointer]:
                return _block("text", writing.matrix(writing.at(answer.json(), pointer)))
            case "value", [pointer]:
                return writing.words(writing.at(answer.json(), pointer))
            case "table", [pointer, *columns]:
                return writing.table(writing.at(answer.json(), pointer), columns)
            case "file", []:
                return self._file(name, answer)
        raise ValueError(f"{self.name}: there is no form {form!r} with {len(arguments)} words after it")

    def _file(self, name: str, answer: httpx.Response) -> str:
        answer.raise_for_status()
        file = f"{FIGURES}/{self.name}-{name.replace('_', '-')}.{_ENDINGS[answer.headers['content-type']]}"
        content = answer.content
        (self.directory / file).write_bytes(
            content if content.endswith(b"\n") or b"\0" in content else content + b"\n"
        )
        return file


def section(name: str) -> Section:
    """Return the function of a script that makes its calls."""
    function: Section = importlib.import_module(f"examples.learn.{name}").main
    return function


def title(name: str) -> str:
    """Return the heading of a page."""
    return prose(name).partition("\n")[0].removeprefix("# ")


def prose(name: str) -> str:
    """Return a page with its places still empty."""
    return (FOLDER / f"{name}.md.in").read_text(encoding="utf-8")


def write_page(name: str, service: httpx.Client, directory: Path = DOCS) -> Path:
    """Make the calls of a section, write its page and figures, and return the page's file.

    Raises:
        httpx.HTTPStatusError: a figure was refused.
        KeyError: the prose names what the script or an answer does not have.
    """
    (directory / FIGURES).mkdir(parents=True, exist_ok=True)
    text = _Page(name, section(name)(service), directory).written(prose(name))
    made = f"<!-- Made by `make docs` of examples/learn/{name}.md.in and {name}.py. -->"
    script = (
        f"The calls of this page are in [{name}.py](../../examples/learn/{name}.py): "
        f"`python -m examples.learn.{name}` makes them."
    )
    later = SECTIONS[SECTIONS.index(name) + 1 :]
    onward = f"Next: [{title(later[0])}]({later[0]}.md)" if later else "Back to [all pages](../index.md)"
    file = directory / f"{name}.md"
    file.write_text(f"{made}\n\n{text.rstrip()}\n\n---\n\n{script} {onward}.\n", encoding="utf-8")
    return file


def main() -> None:
    """Write all pages."""
    with connected(sys.argv[1] if len(sys.argv) > 1 else None) as service:
        for name in SECTIONS:
            print(write_page(name, service).relative_to(DOCS.parents[1]))


def _block(language: str, text: str) -> str:
    return f"```{language}\n{text}\n```"


if __name__ == "__main__":
    main()
