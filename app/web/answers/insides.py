"""Answers about the inside of models, from what was computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from app.api.insides import Activation, Activations, Spread
from app.models.insides import Place
from app.web.answers.arrays import numbers
from engine.arrays import Array
from engine.model.activations import spread


def activations(model_id: str, place: Place, filenames: Sequence[str | None], outputs: Array) -> Activations:
    """Show what a node puts out for each picture: outputs (N, H, W, C), or (N, C) of a vector."""
    data = [
        Activation(
            filename=filename, statistics=Spread(**asdict(spread(output))), numbers=numbers(output, "")
        )
        for filename, output in zip(filenames, outputs, strict=True)
    ]
    return Activations(
        model_id=model_id, node=place.name, type=place.type, shape=list(place.shape), data=data
    )
