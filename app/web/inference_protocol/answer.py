"""From pictures to the outputs that are asked for: the prediction as `predict` has it, and any node of the network."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from app.errors import DomainError, Invalid, TooLarge
from app.models import insides
from app.models.opened import OpenedModel, open_model
from app.models.prediction import Picture
from app.pictures.bounds import Bounds
from app.services import Services
from app.serving.asked import Outcome
from app.store.records import ModelRecord
from app.web.answers.arrays import MOST_FILE_NUMBERS
from app.web.answers.cancellable import compute, gone
from app.web.inference_protocol.requests import Asked
from app.web.inference_protocol.tensors_out import OUTPUT, Wanted, Written, write
from engine.arrays import Array

T = TypeVar("T")

_MOST_JSON_NUMBERS = 1_000_000
"""In the JSON of one answer; twenty bytes each."""


def answered(
    request: Request,
    services: Services,
    record: ModelRecord,
    model_name: str,
    asked: Asked,
    pictures: Sequence[Picture],
) -> Awaitable[Written]:
    """Return the answer of an inference.

    Predictions wait and are computed together with those of `predict`; nodes are computed as a look inside of the
    model is, by the executor that keeps what each puts out.

    Args:
        request: whose body has been read.
        services: the server.
        record: of the model.
        model_name: what the caller called it.
        asked: what it asks.
        pictures: its input.

    Raises:
        Invalid: a picture cannot be decoded, or there is no such output.
        TooLarge: a picture has too many pixels, or the answer would have too many numbers.
        Unavailable: too much waits already, or this one's turn did not come in time.
    """
    wanted = asked.wanted
    nodes = [output.name for output in wanted if output.name != OUTPUT]
    classes: dict[str, list[str] | None] = {OUTPUT: record.classes}
    if not nodes:
        _check_size(wanted, {OUTPUT: (len(record.classes),)}, len(pictures))
        return _predicted(
            request,
            services,
            record,
            pictures,
            lambda found: write(record, model_name, asked.id, wanted, {OUTPUT: found}, classes),
        )
    return _with_nodes(request, services, record, model_name, asked, pictures, nodes)


async def _with_nodes(
    request: Request,
    services: Services,
    record: ModelRecord,
    model_name: str,
    asked: Asked,
    pictures: Sequence[Picture],
    nodes: Sequence[str],
) -> Written:
    wanted = asked.wanted
    classes: dict[str, list[str] | None] = {OUTPUT: record.classes}
    opened = await run_in_threadpool(open_model, services.predictors, record)
    places = {name: insides.place(opened, name, "outputs", (OUTPUT,)) for name in nodes}
    shapes = {name: place.shape for name, place in places.items()} | {OUTPUT: (len(record.classes),)}
    _check_size(wanted, shapes, len(pictures))
    found: dict[str, Array] = {}
    if len(nodes) < len(wanted):
        found[OUTPUT] = await _predicted(request, services, record, pictures, lambda array: array)
    names = {name: insides.number_names(opened, place.name) for name, place in places.items()}

    def rest() -> Written:
        inner = _inner(
            opened, {name: place.name for name, place in places.items()}, pictures, services.bounds
        )
        return write(record, model_name, asked.id, wanted, found | inner, names | classes)

    return await compute(request, services, rest)


def _predicted(
    request: Request,
    services: Services,
    record: ModelRecord,
    pictures: Sequence[Picture],
    make: Callable[[Array], T],
) -> Awaitable[T]:
    """Return what `make` makes of the predictions (N, K), in the thread that computed them."""

    def answer(outcomes: Sequence[Outcome]) -> T:
        rows = []
        for outcome in outcomes:
            if isinstance(outcome, DomainError):
                raise outcome
            rows.append(outcome)
        return make(np.array(rows))

    return services.serving.predict(record, pictures, answer, gone=lambda: gone(request), stops=True)


def _inner(
    opened: OpenedModel, nodes: Mapping[str, str], pictures: Sequence[Picture], bounds: Bounds
) -> dict[str, Array]:
    """Return what nodes put out, by the names that they were asked for by: the name of a block is its last node's."""
    found = insides.outputs_of_several(opened, list(dict.fromkeys(nodes.values())), pictures, bounds)
    return {name: found[node] for name, node in nodes.items()}


def _check_size(wanted: Sequence[Wanted], shapes: Mapping[str, Sequence[int]], count: int) -> None:
    """Refuse what would be too much before it is computed."""
    total = as_text = 0
    for output in wanted:
        shape = shapes[output.name]
        if output.top and len(shape) != 1:
            detail = f"{output.name} puts out {' x '.join(map(str, shape))} numbers, not one for each class"
            raise Invalid.at("outputs", detail, "leave out classification")
        numbers = count * math.prod(shape)
        total += numbers
        if not output.binary:
            as_text += numbers
    if total > MOST_FILE_NUMBERS:
        detail = f"these outputs have {total:,} numbers, and {MOST_FILE_NUMBERS:,} are answered at most"
        raise TooLarge.at("outputs", detail, "ask for fewer, or for fewer pictures at a time")
    if as_text > _MOST_JSON_NUMBERS:
        detail = f"{as_text:,} numbers would be written as JSON, and {_MOST_JSON_NUMBERS:,} are at most"
        raise TooLarge.at("outputs", detail, "ask for them with binary_data, or for fewer pictures at a time")
