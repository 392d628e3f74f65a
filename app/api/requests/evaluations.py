"""Bodies of requests about evaluations."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from app.api.evaluations import Split
from app.api.requests.webhooks import Announced
from engine.spec import Spec


class EvaluationCreate(Spec):
    """Which model to evaluate on which pictures."""

    model: str = Field(examples=["model_example"])
    """The id of a model, its name (the newest version), `digits@2` or `digits@production` (an alias)."""
    dataset: str = Field(examples=["digits"])
    """The id or name of a data set of the model's input shape; all of its classes have to be classes of the model.
    While it is still being filled the evaluation waits."""
    split: Split = "test"
    """The split that the report is about. The errors of all three are measured, of large ones on a sample."""
    webhook: Announced = None
    """Where its end is announced: {"url": ...}, or the address alone."""


class EvaluationComparisonRequest(Spec):
    """Two evaluations to compare."""

    evaluations: Annotated[tuple[str, str], Field(examples=[["eval_...", "eval_..."]])]
    """The ids of two evaluations on the same split of the same data set."""
