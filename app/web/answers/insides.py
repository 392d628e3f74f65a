"""Answers about the inside of models, from what was computed."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from app.api.insides import Account, Activation, Activations, NodeOnTheWay, Spread
from app.models.insides import Place, Step
from app.pictures.accounts import Row, draw_account, figures
from app.pictures.decode import encode_png
from app.pictures.drawing import Drawing
from app.pictures.maps import draw_maps, draw_vector
from app.web.answers.arrays import numbers
from engine.arrays import Array
from engine.model.activations import spread


def spread_of(array: Array) -> Spread:
    """Show how the numbers of an array are spread."""
    return Spread(**asdict(spread(array)))


def activations(model_id: str, place: Place, filenames: Sequence[str | None], outputs: Array) -> Activations:
    """Show what a node puts out for each picture: outputs (N, H, W, C), or (N, C) of a vector."""
    data = [
        Activation(filename=filename, statistics=spread_of(output), numbers=numbers(output, ""))
        for filename, output in zip(filenames, outputs, strict=True)
    ]
    return Activations(
        model_id=model_id, node=place.name, type=place.type, shape=list(place.shape), data=data
    )


def account(filename: str | None, steps: Iterable[Step]) -> Account:
    """Show the way of a picture through the network."""
    return Account(filename=filename, nodes=[_on_the_way(step) for step in steps])


def _on_the_way(step: Step) -> NodeOnTheWay:
    return NodeOnTheWay(
        name=step.place.name,
        type=step.place.type,
        shape=list(step.place.shape),
        minimum=step.spread.minimum,
        mean=step.spread.mean,
        maximum=step.spread.maximum,
        zeros=step.spread.zeros,
        thumbnail=b64encode(encode_png(step.thumbnail, level=1)).decode(),
    )


def drawn_account(title: str, steps: Iterable[Step]) -> Drawing:
    """Draw the way of a picture through the network."""
    return draw_account(
        title,
        [
            Row(step.place.name, _kind(step.place), step.thumbnail, figures(*_in_short(step)))
            for step in steps
        ],
    )


def _in_short(step: Step) -> tuple[float, float, float, float]:
    return step.spread.minimum, step.spread.mean, step.spread.maximum, step.spread.zeros


def drawn_output(place: Place, output: Array, names: Sequence[str] | None, *, shared: bool) -> Drawing:
    """Draw what a node puts out for one picture: maps (H, W, C) or a vector (C,)."""
    title = f"{place.name} ({_kind(place)})"
    if output.ndim == 1:
        return draw_vector(title, output, names)
    return draw_maps(title, output, shared=shared)


def _kind(place: Place) -> str:
    return f"{place.type}, {' x '.join(map(str, place.shape))}"
