"""Bodies of requests about evaluations."""

from __future__ import annotations

from pydantic import Field

from app.api.evaluations import Split
from engine.spec import Spec


class EvaluationCreate(Spec):
    """Which model to evaluate on which pictures."""

    model: str = Field(examples=["model_example"])
    """The id of a model, its name (the newest version), `digits@2` or `digits@production` (an alias)."""
    dataset: str = Field(examples=["digits"])
    """The id or name of a data set of the model's input shape; all of its classes have to be classes of the model."""
    split: Split = "test"
    """The split that the report is about. The errors of all three are measured, of large ones on a sample."""
