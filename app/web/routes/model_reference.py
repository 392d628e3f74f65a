"""How calls name a model: the parameter of their paths."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path

ModelReference = Annotated[
    str,
    Path(
        description="The id of a model, its name (the newest version), name and version (`digits@2`), or name and "
        "alias (`digits@production`). Changing and deleting take no name alone.",
        openapi_examples={"built in": {"value": "model_example"}},
    ),
]
