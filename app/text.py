"""What may stand in an answer: the rules for texts and documents, wherever they come from.

A request body is checked when it is parsed. What a file brings (names, labels, metadata) obeys the same rules before
it is stored: all that is stored can be written as JSON, or the list that holds it could never be answered again.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

MAX_NAME = 255
"""Characters of the name of a class, a label or a file."""
MAX_DEPTH = 64
"""Levels of nesting of a document that somebody sends."""
MAX_WRITTEN_DEPTH = 128
"""Levels of nesting of a document that is stored: with what is put around it, writers of JSON still manage it."""
MAX_MEMBERS = 200_000
"""Values in all levels of a document."""
MAX_TEXT = 1_000_000
"""Characters of one text in a document."""

_MOST_COMPARED = 100
_MOST_LISTED = 20

REPLACEMENT = "\ufffd"
_CONTROL = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"  # the categories Cc, Zl, Zp and Cs of Unicode, which never change
    # embeddings, overrides and isolates: they reach beyond their text, as marks of direction, which are needed, do not
    r"\u202a-\u202e\u2066-\u2069]"
)
_CONTROL_BUT_LINES = re.compile(rf"(?![\t\r\n]){_CONTROL.pattern}")
_SURROGATES = re.compile("[\ud800-\udfff]")
_DIGITS = re.compile(r"([0-9]+)")
_MAX_INTEGER = 1 << 63


def percent(share: float, digits: int = 0) -> str:
    """Write a share of 1 for people: `97 %`, or `97.5 %` with a digit."""
    return f"{100 * share:.{digits}f} %"


def is_name(text: str) -> bool:
    """Tell whether a text can be the name of a class, a label or a file: some printable characters, not too many."""
    return 0 < len(text) <= MAX_NAME and bool(text.strip()) and not has_controls(text)


def has_controls(text: str) -> bool:
    """Tell whether a text holds what is shown as something else or not at all.

    These are control characters, line and paragraph separators, halves of surrogate pairs, which are no characters, and
    what changes the direction of writing behind it, by which a name can pass for another.
    """
    return not text.isprintable() and _CONTROL.search(text) is not None


def has_controls_but_lines(text: str) -> bool:
    """Tell the same of a text of several lines, in which tabs and line ends may be."""
    return not text.isprintable() and _CONTROL_BUT_LINES.search(text) is not None


def visible(text: str, kept: str = "") -> str:
    """Return a text with a sign in place of each character that is not shown or changes how others are, but some."""
    return _CONTROL.sub(lambda found: found[0] if found[0] in kept else REPLACEMENT, text)


def shown(text: str, most: int) -> str:
    """Return as much of a text of a file as goes into a message or a report, its control characters replaced."""
    printable = visible(text[: most + 1])
    return printable if len(printable) <= most else f"{printable[:most]}..."


def nearest(name: str, names: Sequence[str]) -> list[str]:
    """Return all names, first those that end like the one that was written, then similar ones, then the others."""
    ending = [known for known in names if name and known.endswith(name)]
    similar = difflib.get_close_matches(name[:_MOST_COMPARED], names, 5)
    return list(dict.fromkeys([*ending, *similar, *names]))


def one_of(name: str, names: Sequence[str], noun: str) -> str:
    """Say which name was probably meant, or which there are: "its classes are cat, dog ..."."""
    listed = f"{', '.join(names[:_MOST_LISTED])}{' ...' if len(names) > _MOST_LISTED else ''}"
    return did_you_mean(name, names, f"its {noun} are {listed}")


def did_you_mean(name: str, names: Sequence[str], otherwise: str, most: int = 1) -> str:
    """Return the hint for a name that is none of those there are: the ones it resembles, or what else would do.

    Args:
        name: what was written.
        names: those that there are.
        otherwise: the hint where nothing resembles it.
        most: how many are offered.
    """
    by_lower_case = {known.lower(): known for known in reversed(names)}
    similar = difflib.get_close_matches(name[:_MOST_COMPARED].lower(), by_lower_case, most)
    return (
        f"did you mean {' or '.join(repr(by_lower_case[each]) for each in similar)}?"
        if similar
        else otherwise
    )


def natural(name: str) -> tuple[tuple[str | tuple[int, str], ...], str]:
    """Return a key that sorts names as people do: `class 2` before `class 10`."""
    pieces = _DIGITS.split(name)
    # Texts and numbers take turns, so that two keys never compare one with the other.
    ordered = tuple(
        (int(piece), piece) if place % 2 else piece.casefold() for place, piece in enumerate(pieces)
    )
    return ordered, name


def document_fault(
    document: Any, *, depth: int = MAX_DEPTH, members: int = MAX_MEMBERS, text: int = MAX_TEXT
) -> str | None:
    """Return what keeps a document of a file from being stored and written as JSON, or None.

    That is what a request body may not be either: nested too deeply, too many values, a text with control characters
    (other than tab and line ends) or halves of surrogate pairs, and a number beyond 64 bits or that is not finite.

    Args:
        document: as it was parsed.
        depth: the most levels of nesting.
        members: the most values in all levels, keys included.
        text: the most characters of a text.
    """
    for count, (value, level) in enumerate(_values(document)):
        if level > depth:
            return f"it is nested more than {depth} levels deep"
        if count >= members:
            return f"it holds more than {members} values"
        if isinstance(value, str) and len(value) > text:
            return f"it holds a text of {len(value)} characters; at most {text} are taken"
        if fault := _value_fault(value):
            return fault
    return None


def _value_fault(value: Any) -> str | None:
    if isinstance(value, str):
        if has_controls_but_lines(value):
            what = "control characters, directions of writing or half a surrogate pair"
            return f"it holds the text {value[:40]!a} with {what}"
    elif isinstance(value, float) and not math.isfinite(value):
        return "it holds a number that is not finite"
    elif isinstance(value, int) and not -_MAX_INTEGER <= value < 2 * _MAX_INTEGER:
        return "it holds an integer beyond 64 bits"
    return None


def _values(document: Any) -> Iterator[tuple[Any, int]]:
    """Yield every value and key of a document with its depth, without recursion."""
    waiting: list[tuple[Any, int]] = [(document, 0)]
    while waiting:
        value, depth = waiting.pop()
        yield value, depth
        if isinstance(value, dict):
            waiting += [(key, depth) for key in value]
            waiting += [(member, depth + 1) for member in value.values()]
        elif isinstance(value, list | tuple):
            waiting += [(member, depth + 1) for member in value]


def repaired(document: Any) -> Any:
    """Return a document of an earlier version as it can be written: what cannot is replaced.

    Halves of surrogate pairs become U+FFFD; what is nested too deeply, numbers that are not finite and integers that
    no reader can hold become null. The same object is returned where nothing has to be done.
    """
    return document if is_writable(document) else _repaired(document, 0)


def is_writable(document: Any) -> bool:
    """Tell whether a document can be written as JSON, and be read again by others."""
    return all(depth <= MAX_WRITTEN_DEPTH and not _broken(value) for value, depth in _values(document))


def _broken(value: Any) -> bool:
    if isinstance(value, str):
        return _SURROGATES.search(value) is not None
    if isinstance(value, float):
        return not math.isfinite(value)
    return isinstance(value, int) and not -_MAX_INTEGER <= value < 2 * _MAX_INTEGER


def _repaired(value: Any, depth: int) -> Any:
    if depth > MAX_WRITTEN_DEPTH:
        return None
    if isinstance(value, dict):
        return {_repaired(key, depth): _repaired(member, depth + 1) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_repaired(member, depth + 1) for member in value]
    if isinstance(value, str):
        return _SURROGATES.sub(REPLACEMENT, value)
    return None if _broken(value) else value
