"""Bias and variance, read from the errors on the train, dev and test splits.

Ng, Machine Learning Yearning, chapters 20 to 32: the error on the train split is bias (as far as no error can
be avoided), what the dev split adds is variance, what the test split adds again is over-fitting to the dev split.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.api.evaluations import Diagnosis
from app.store.records import Json
from app.text import percent

LOW = 0.02
"""A share of errors below which there is nothing to say."""


def diagnose(errors: Mapping[str, Json]) -> Diagnosis:
    """Read bias and variance from `{"train": {"error": 0.1}, "dev": ..., "test": ...}`."""
    train, dev, test = (errors[name]["error"] for name in ("train", "dev", "test"))
    parts = {"bias": train, "variance": _above(dev, train), "dev_gap": _above(test, dev)}
    measured = {name: value for name, value in parts.items() if value is not None}
    if not {"bias", "variance"} <= set(measured):
        verdict = "unknown"
    else:
        # Of equal ones the first: less bias is the first thing to get.
        verdict = max(measured, key=lambda name: measured[name])
        if measured[verdict] < LOW:
            verdict = "low"
    return Diagnosis(**parts, verdict=verdict, advice=_advice(verdict, parts))


def _above(one: Any, other: Any) -> float | None:
    return None if one is None or other is None else one - other


def _advice(verdict: str, parts: Mapping[str, Any]) -> str:
    def part(name: str) -> str:
        return percent(parts[name], 1)

    match verdict:
        case "bias":
            return (
                f"The error is {part('bias')} already on the training pictures (bias): try a larger network, more "
                "epochs, another learning rate, or less augmentation and regularisation."
            )
        case "variance":
            return (
                f"On pictures that it was not trained on, the error is {part('variance')} higher (variance): try "
                "more pictures, augmentation, dropout or weight decay, or a smaller network."
            )
        case "dev_gap":
            return (
                f"The error on the test split is {part('dev_gap')} above that of the dev split: the choice of the "
                "model has adapted to the dev pictures or these differ from the others; try a larger dev split."
            )
        case "low":
            return (
                "Bias and variance are both low: look at the worst mistakes, they may be wrong labels or pictures "
                "that are rare in training; or accept it."
            )
        case _:
            return "Bias and variance cannot be told apart without pictures in the train and the dev split: add some."
