"""The query of every list that comes in pages."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

Limit = Annotated[int, Query(ge=1, le=200, description="The most entries to return.")]
After = Annotated[
    str | None,
    Query(max_length=64, description="Return what follows this id: the `next` of the page before."),
]
