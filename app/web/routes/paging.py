"""The query of lists: pages, and what narrows them."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

Limit = Annotated[int, Query(ge=1, le=200, description="The most entries to return.")]
After = Annotated[
    str | None,
    Query(max_length=64, description="Return what follows this id: the `next` of the page before."),
]
AfterNumber = Annotated[
    int | None,
    Query(ge=0, le=2**31 - 1, description="Return what follows this number: the `next` of the page before."),
]
NameFilter = Annotated[
    str | None, Query(alias="name", max_length=100, description="Only those of this name.")
]
PartFilter = Annotated[
    str | None,
    Query(
        alias="contains",
        max_length=100,
        description="Only those with this in their name, in small letters or capitals alike.",
    ),
]
TagFilter = Annotated[str | None, Query(alias="tag", max_length=100, description="Only those with this tag.")]
