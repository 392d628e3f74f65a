"""How operators of ONNX become layers: a file for each family, joined here.

A converter is a function from a `Call` to the node's outputs, named in the `RULES` of its file with the operator and
the version since which it holds. It raises `Unsupported`, saying what it would need, where there is no such layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from engine.model.onnx_import.converters import (
    activation,
    convolution,
    counting,
    folding,
    linear,
    merge,
    normalization,
    pooling,
    resampling,
    shape,
    slicing,
)
from engine.model.onnx_import.values.call import Rule

RULES: tuple[Rule, ...] = (
    *convolution.RULES,
    *pooling.RULES,
    *normalization.RULES,
    *activation.RULES,
    *merge.RULES,
    *linear.RULES,
    *resampling.RULES,
    *shape.RULES,
    *slicing.RULES,
)
"""For operators on what depends on the picture."""

FOLDS: tuple[Rule, ...] = folding.FOLDS
"""For operators on constants alone."""

COUNTS: tuple[Rule, ...] = counting.COUNTS
"""For operators on what counts the pictures of a batch."""

Table = Mapping[tuple[str, str], tuple[Rule, ...]]
"""Rules by (domain, operator), the newest first."""


def table(rules: Iterable[Rule]) -> Table:
    """Return rules by operator.

    Raises:
        ValueError: there are two of one operator and version.
    """
    found: dict[tuple[str, str], list[Rule]] = {}
    for rule in rules:
        others = found.setdefault((rule.domain, rule.type), [])
        if any(rule.since == other.since for other in others):
            raise ValueError(f"two rules for {rule.type} since version {rule.since}")
        others.append(rule)
    return {
        key: tuple(sorted(others, key=lambda rule: rule.since, reverse=True)) for key, others in found.items()
    }


def chosen(rules: Table, domain: str, kind: str, version: int) -> Rule | None:
    """Return the newest rule for an operator that holds in this version; None if there is none."""
    return next((rule for rule in rules.get((domain, kind), ()) if rule.since <= version), None)
