"""The modules of the web page: what one imports it uses, and what one exports another needs."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from importlib import resources

EXPORTED = re.compile(r"^export (?:async )?(?:function|const|class) (\w+)", re.MULTILINE)
IMPORTED = re.compile(r"^(?:import|export) \{([^}]*)\} from \"([^\"]+)\"", re.MULTILINE)


def modules() -> dict[str, str]:
    """Return the text of each module of our own, by its path."""
    folder = resources.files("app.page")
    found: dict[str, str] = {}

    def look(place: str) -> None:
        for entry in folder.joinpath(place).iterdir():
            path = f"{place}/{entry.name}".lstrip("/")
            if entry.is_dir():
                if entry.name != "vendor":
                    look(path)
            elif entry.name.endswith(".js"):
                found[path] = entry.read_text(encoding="utf-8")

    look("")
    return found


def imports(path: str, text: str) -> Iterator[tuple[str, str, str]]:
    """Yield what a module imports: the path of the other one, the name there and the name here."""
    for names, place in IMPORTED.findall(text):
        other = posixpath.normpath(posixpath.join(posixpath.dirname(path), place))
        for part in filter(None, map(str.strip, names.split(","))):
            there, _, here = part.partition(" as ")
            yield other, there, here or there


def test_what_is_imported_is_used() -> None:
    unused = [
        f"{path}: {here}"
        for path, text in modules().items()
        for _, _, here in imports(path, text)
        if path != "lib/html.js" and len(re.findall(rf"\b{here}\b", text)) < 2
    ]
    assert unused == []


def test_what_is_exported_is_needed_elsewhere() -> None:
    texts = modules()
    needed = {(other, there) for path, text in texts.items() for other, there, _ in imports(path, text)}
    alone = [
        f"{path}: {name}"
        for path, text in texts.items()
        for name in EXPORTED.findall(text)
        if (path, name) not in needed
    ]
    assert alone == []
