"""What shares are made of, here and in other processes: the one place that writes and reads what these are sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from pydantic import TypeAdapter

from engine.fast.layout.gemm import Tuning
from engine.graph.network import Network
from engine.inputs.preparation import Preparation
from engine.recipe.losses import AnyLoss, Loss


@dataclass(frozen=True)
class Setup:
    """What an execution in shares computes, wherever it is.

    Attributes:
        network: as it is trained.
        loss: what it is trained for.
        preparation: of its pictures.
        tuning: what was measured of the machine.
        shares: into how many a batch is split there.
        pictures: the most of a batch there.
    """

    network: Network
    loss: Loss
    preparation: Preparation
    tuning: Tuning
    shares: int
    pictures: int

    def document(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return {
            "network": self.network.document(),
            "loss": self.loss.model_dump(mode="json"),
            "preparation": self.preparation.model_dump(mode="json"),
            "tuning": self.tuning.model_dump(),
            "shares": self.shares,
            "pictures": self.pictures,
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Return what a document says, which may say more."""
        loss: Loss = TypeAdapter(AnyLoss).validate_python(document["loss"])
        return cls(
            Network.from_document(document["network"]),
            loss,
            Preparation.model_validate(document["preparation"]),
            Tuning.model_validate(document["tuning"]),
            int(document["shares"]),
            int(document["pictures"]),
        )
