"""What became of the tests, as a page of the documentation."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import onnx

from tests.onnx_nodes.cases import OPERATORS, Listed, reason
from tests.onnx_nodes.forms import fault

PAGE = Path(__file__).resolve().parents[2] / "docs" / "onnx-nodes.md"


@dataclass
class Tally:
    """Counts of one operator's tests."""

    passed: int = 0
    failed: list[str] = field(default_factory=list)
    excluded: Counter[str] = field(default_factory=Counter)
    """By reason."""

    @property
    def applicable(self) -> int:
        """How many tests a network here can express."""
        return self.passed + len(self.failed)


def tallies(found: Listed, *, trusting: bool = False) -> dict[str, Tally]:
    """Run the tests and count by operator.

    Args:
        found: the tests.
        trusting: whether all that can be expressed counts as passed without being run.
    """
    counted = {kind: Tally() for kind in OPERATORS}
    with tempfile.TemporaryDirectory() as folder:
        for case in found.cases:
            tally, why = counted[case.operator], reason(case)
            if why is not None:
                tally.excluded[why] += 1
            elif (wrong := None if trusting else fault(case, Path(folder))) is not None:
                tally.failed.append(wrong)
            else:
                tally.passed += 1
    return counted


def page(found: Listed, counted: dict[str, Tally]) -> str:
    """Return the page."""
    rows = [
        (f"`{kind}`", (tally.applicable + tally.excluded.total(), tally.applicable, tally.passed))
        for kind, tally in counted.items()
    ]
    sums = [sum(counts[place] for _, counts in rows) for place in range(3)]
    reasons: Counter[str] = sum((tally.excluded for tally in counted.values()), Counter())
    lines = [
        "# The node tests of ONNX",
        "",
        "`.venv/bin/python -m tests.onnx_nodes` writes this page; `make test` holds it to the code.",
        "",
        f"The package onnx brings a test for each form of each operator; in {onnx.__version__} there are "
        f"{found.total:,}, of which",
        f"{sums[0]} are for the operators that networks [come in](onnx.md#coming-in) with. A test is made a file whose "
        "one input is a",
        "batch of pictures: weights, shapes and axes become initializers with the test's numbers. It is imported, the "
        "network",
        "computes, and what comes out has to be what the test expects, within the test's tolerance. Where a file of "
        "one node has no",
        "batch, the test's tensor becomes one picture of a batch, and axes that are counted from the front are one "
        "further; several",
        "tensors are cut from one row; integers and shapes, which no picture has, are computed while the file is read.",
        f"**{sums[2]} of the {sums[1]} that a network can express pass.**",
        "",
        "| operator | tests | of which a network can express | passed |",
        "|---|---:|---:|---:|",
        *(f"| {kind} | {tests} | {can} | {passed} |" for kind, (tests, can, passed) in rows),
        f"| all | {sums[0]} | {sums[1]} | {sums[2]} |",
        "",
        "Two operators also have outputs for training, which no network has: of `LayerNormalization` and `Dropout` the "
        "first output",
        "is compared. Numbers are computed in float32 whatever the precision that a test asks for, and rounded to that "
        "before they",
        "are compared.",
        "",
        "## What a network cannot express",
        "",
        "A body is an operator written in simpler ones; the package tests most operators in both forms.",
        "",
        "| reason | tests | operators |",
        "|---|---:|---|",
        *(
            f"| {why} | {count} | {', '.join(_with(counted, why))} |"
            for why, count in sorted(reasons.items(), key=lambda each: (-each[1], each[0]))
        ),
    ]
    return "\n".join(lines) + "\n"


def _with(counted: dict[str, Tally], why: str) -> Iterable[str]:
    return (f"`{kind}`" for kind, tally in counted.items() if tally.excluded[why])
