"""Bodies of requests about models, and of pictures to predict."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from app.api.common import Line, Name
from engine.spec import Flag, Spec

Tag = Annotated[str, Field(min_length=1, max_length=100), Line]


class ModelChanges(Spec):
    """What can change about a model; what is left out stays as it is."""

    name: Name = Field("", validate_default=False)
    """Under another name it becomes that name's next version."""
    description: Annotated[str | None, Field(max_length=10_000)] = None
    """A text for people; null removes it."""
    tags: Annotated[tuple[Tag, ...], Field(max_length=64)] = ()
    """Words to find it by; they replace all that it had."""


class AliasTarget(Spec):
    """What an alias is to stand for."""

    model_id: str
    """The id of a model of that name, the name (its newest version), name and version (`digits@2`), or name and another
    alias."""
    force: Flag = False
    """Move it also to a model with other classes, another input or another target than that of the one before."""


class PredictionRequest(Spec):
    """Pictures to predict."""

    images: Annotated[list[str], Field(min_length=1, fail_fast=True)]
    """Picture files (PNG, JPEG, ...) in base64; a `data:` URL is fine too."""
