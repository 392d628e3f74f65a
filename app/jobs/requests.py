"""What a training job is asked to do, complete: nothing that changes later elsewhere changes it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from engine.graph.architecture import Architecture
from engine.spec import PositiveInt
from engine.training.loop import TrainingConfig


class TrainingRequest(TrainingConfig):
    """The `request` of a training job, as it is stored."""

    name: Annotated[str, Field(min_length=1)]
    """What the model will be called."""
    description: str | None = None
    """What people want to know about it."""
    tags: tuple[str, ...] = ()
    """Words to find it by."""
    continue_from: str | None = None
    """Id of the job whose last checkpoint is the beginning of this one."""
    initial_weights: str | None = None
    """Id of the model whose weights are the first ones of this job, where names and shapes agree."""
    architecture: Architecture
    """The network; a copy, also where the caller named a preset or a stored architecture."""
    architecture_source: dict[str, Any] | None = None
    """Where it came from, for display: `{"preset": "lenet-5"}` or `{"id": "arch_..."}`."""
    dataset: str
    """Id of the data set."""
    dataset_images: PositiveInt
    """How many pictures the data set had; what arrived since is not trained on."""

    @property
    def config(self) -> TrainingConfig:
        """The part that the engine wants to know."""
        return TrainingConfig.model_validate(
            {name: getattr(self, name) for name in TrainingConfig.model_fields}
        )

    def document(self) -> dict[str, Any]:
        """Return the request as JSON-ready data with every default written out."""
        return {
            **self.model_dump(mode="json", serialize_as_any=True),
            "architecture": self.architecture.document(),
        }
