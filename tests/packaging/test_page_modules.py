"""The modules of the web page: what one imports it uses, and what one exports another needs."""

from __future__ import annotations

import re
from importlib import resources

EXPORTED = re.compile(r"^export (?:async )?(?:function|const|class) (\w+)", re.MULTILINE)


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


def words(text: str, word: str) -> int:
    return len(re.findall(rf"\b{word}\b", text))


def test_what_is_imported_is_used() -> None:
    unused = [
        f"{path}: {name}"
        for path, text in modules().items()
        for names in re.findall(r"^import \{([^}]*)\} from", text, re.MULTILINE)
        for name in (part.split(" as ")[-1].strip() for part in names.split(",") if part.strip())
        if words(text, name) < 2
    ]
    assert unused == []


def test_what_is_exported_is_needed_elsewhere() -> None:
    texts = modules()
    alone = [
        f"{path}: {name}"
        for path, text in texts.items()
        for name in EXPORTED.findall(text)
        if not any(words(other, name) for place, other in texts.items() if place != path)
    ]
    assert alone == []
