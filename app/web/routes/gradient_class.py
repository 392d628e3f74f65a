"""Of which class a gradient is: a parameter of the calls that look inside a model."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

GradientClass = Annotated[
    str | None,
    Query(
        alias="class",
        description="Of what the gradient is, by default the predicted class or the most probable label.",
    ),
]
