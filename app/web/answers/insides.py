"""Answers about the inside of models, from what was computed."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from app.api.insides import Account, Activation, Activations, GradientOf, NodeOnTheWay, SmallMaps, Spread
from app.models.insides import Place, Step
from app.pictures.accounts import Row, draw_account, figures
from app.pictures.accounts import SmallMaps as Small
from app.pictures.decode import encode_png
from app.pictures.drawing import Drawing
from app.pictures.maps import draw_maps, draw_vector
from app.web.answers.arrays import numbers
from engine.arrays import Array
from engine.model.activations import spread
from engine.model.gradients import Gradients


def spread_of(array: Array) -> Spread:
    """Show how the numbers of an array are spread."""
    return Spread(**asdict(spread(array)))


def gradient_of(found: Gradients, classes: Sequence[str]) -> GradientOf:
    """Show what gradients are taken of."""
    named = {"class": classes[found.index]}
    return GradientOf(of=found.of, class_index=found.index, value=found.value, **named)


def activations(
    model_id: str,
    place: Place,
    filenames: Sequence[str | None],
    outputs: Array,
    gradients: Sequence[GradientOf] | None = None,
) -> Activations:
    """Show what a node puts out for each picture, or its gradients: outputs (N, H, W, C), or (N, C) of a vector."""
    data = [
        Activation(
            filename=filename,
            gradient=None if gradients is None else gradients[number],
            statistics=spread_of(output),
            numbers=numbers(output, ""),
        )
        for number, (filename, output) in enumerate(zip(filenames, outputs, strict=True))
    ]
    return Activations(
        model_id=model_id, node=place.name, type=place.type, shape=list(place.shape), data=data
    )


def account(filename: str | None, steps: Iterable[Step], gradient: GradientOf | None = None) -> Account:
    """Show the way of a picture through the network."""
    return Account(filename=filename, gradient=gradient, nodes=[_on_the_way(step) for step in steps])


def _on_the_way(step: Step) -> NodeOnTheWay:
    small = step.small
    return NodeOnTheWay(
        name=step.place.name,
        type=step.place.type,
        shape=list(step.place.shape),
        minimum=step.spread.minimum,
        mean=step.spread.mean,
        maximum=step.spread.maximum,
        zeros=step.spread.zeros,
        thumbnail=None if isinstance(small, Small) else b64encode(encode_png(small, level=1)).decode(),
        maps=_small_maps(small) if isinstance(small, Small) else None,
    )


def _small_maps(small: Small) -> SmallMaps:
    data = b64encode(small.bytes.tobytes()).decode()
    return SmallMaps(shape=list(small.bytes.shape), most=small.most.tolist(), data=data)


def drawn_account(title: str, steps: Iterable[Step]) -> Drawing:
    """Draw the way of a picture through the network."""
    return draw_account(
        title,
        [
            Row(step.place.name, _kind(step.place), step.small, figures(*_in_short(step)))
            for step in steps
            if not isinstance(step.small, Small)
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
