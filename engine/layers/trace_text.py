"""Formulas with numbers put in, as traces show them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from engine.arrays import Array
from engine.layers.trace import Position

MOST_TERMS = 12
"""Terms of a sum that are all written; of more, half as many at either end."""


def number(value: float) -> str:
    """Return a number with four significant digits."""
    return f"{value + 0.0:.4g}"  # adding 0 turns -0 into 0


def term(value: float) -> str:
    """Return a number as it can stand beside an operator: a negative one in parentheses."""
    text = number(value)
    return f"({text})" if text.startswith("-") else text


def product(value: float, factor: float) -> str:
    """Return one term of a sum of products."""
    return f"{term(value)}*{term(factor)}"


def series(write: Callable[..., str], *arrays: Array, joint: str = " + ") -> str:
    """Join what `write` makes of the arrays' numbers, cell by cell; dots stand for the middle of a long series."""
    columns = [array.reshape(-1) for array in arrays]
    size, half = len(columns[0]), MOST_TERMS // 2
    cells = range(size) if size <= MOST_TERMS else [*range(half), *range(size - half, size)]
    terms = [write(*(float(column[at]) for column in columns)) for at in cells]
    if size > MOST_TERMS:
        terms.insert(half, "...")
    return joint.join(terms)


def cell(position: Position, letter: str = "a") -> str:
    """Return how a formula calls one number of an input: `a[1, 2, 0]`."""
    return f"{letter}[{', '.join(map(str, position))}]"


def put(formula: str, numbers: Mapping[str, float]) -> str:
    """Put numbers into a formula in the place of their names."""
    names = "|".join(re.escape(name) for name in sorted(numbers, key=len, reverse=True))

    def write(name: re.Match[str]) -> str:
        value, text = numbers[name[0]], name.string
        opens = name.start() == 0 or text[name.start() - 1] == "("
        raised = text[name.end() : name.end() + 1] == "^"
        return number(value) if opens and not raised else term(value)

    return re.sub(rf"(?<!\w)(?:{names})(?!\w)", write, formula)
