"""The arithmetic of single numbers that models put out for pictures, and of the gradients at them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from app.api.insides import ModelGradientTraces, ModelTraces
from app.errors import Invalid
from app.models import insides
from app.models.insides import Slope
from app.models.opened import open_model
from app.models.prediction import Picture
from app.scopes import PREDICT
from app.services import Services, ServicesDep
from app.store.records import ModelRecord
from app.web.answers.cancellable import compute
from app.web.answers.insides import gradient_of
from app.web.answers.stored import stored_model
from app.web.answers.traces import gradient_traces, node_traces
from app.web.bodies.needs import needs
from app.web.bodies.pictures import only_picture, pictures_body, receive_pictures
from app.web.bodies.route import StrictRoute
from app.web.openapi import problems, success
from app.web.routes.gradient_class import GradientClass
from app.web.routes.model_reference import ModelReference
from engine.model.gradients import Of

router = APIRouter(prefix="/v1/models", route_class=StrictRoute, tags=["models"])

_MOST_POSITIONS = 64
_MOST_AXES = 3
_INDEX = re.compile("[0-9]{1,9}")


@router.post(
    "/{model_id}/trace",
    summary="See how a number came about",
    response_class=Response,
    responses=problems(400, 404, 413, 415, 422, 503)
    | success("The arithmetic of each number, or of the gradient at it.", ModelTraces | ModelGradientTraces),
    openapi_extra={"requestBody": pictures_body},
)
@needs(PREDICT)
async def trace_numbers(
    model_id: ModelReference,
    request: Request,
    services: ServicesDep,
    node: Annotated[
        str,
        Query(
            description="The name of a node of the network, or of a block, which stands for its last node; with "
            "`gradient` also `input`.",
            openapi_examples={"the first layer": {"value": "conv2d_1"}},
        ),
    ],
    position: Annotated[
        list[str],
        Query(
            min_length=1,
            max_length=_MOST_POSITIONS,
            description="Where in the node's output the number is: row, column and channel, or the index in a vector, "
            "each from 0, with commas between. Repeat it for several numbers.",
            openapi_examples={"row 3, column 4, channel 0": {"value": ["3,4,0"]}},
        ),
    ],
    on_the_way: Annotated[
        bool,
        Query(
            description="Whether single numbers are followed back through the nodes of the same block: of a residual "
            "block, the sum and its two terms."
        ),
    ] = False,
    gradient: Annotated[
        Of | None,
        Query(
            description="Show how the gradient at each number comes about in place of the number: of the `score` of a "
            "class, label or value, or of the `loss` that the picture would have were it of this class."
        ),
    ] = None,
    name: GradientClass = None,
) -> Response:
    """Return the arithmetic of single numbers that a node puts out for a picture.

    Of a convolution: the window of the input, the filter's factors, their products, the sum, the bias, and what the
    activation makes of it; of a pool the cell that won; of a normalisation mean and variance; and for every layer its
    formula with these numbers put in. One picture is sent, in one of the forms that `predict` takes.

    With `gradient`: for each node that reads the number, the gradients at those of its numbers that it leads to, their
    derivatives by it, of a convolution the weights it is multiplied by, the products and their sum.
    """
    places = [_position(text) for text in position]
    record = await stored_model(services.store, model_id)
    slope = insides.slope_of(record, gradient, name)
    if slope is not None and on_the_way:
        detail = "the numbers before one are no part of the gradient at it"
        raise Invalid.at("on_the_way", detail, "leave it out", parameter=True)
    with services.bodies.room() as arrived:
        picture = only_picture(await receive_pictures(request, services.settings, arrived=arrived))
        if slope is None:
            return await compute(
                request, services, _traces, services, record, picture, node, places, on_the_way
            )
        return await compute(request, services, _gradients, services, record, picture, node, places, slope)


def _position(text: str) -> tuple[int, ...]:
    numbers = text.split(",")
    if not all(_INDEX.fullmatch(number.strip()) for number in numbers) or len(numbers) > _MOST_AXES:
        detail = f"{text[:60]!r} is no position"
        hint = "write row, column and channel, such as 3,4,0, or the index in a vector, such as 7"
        raise Invalid.at("position", detail, hint, parameter=True)
    return tuple(map(int, numbers))


def _traces(
    services: Services,
    record: ModelRecord,
    picture: Picture,
    node: str,
    positions: Sequence[tuple[int, ...]],
    on_the_way: bool,
) -> Response:
    opened = open_model(services.predictors, record)
    target = opened.node(node)
    found = insides.traces(opened, node, positions, picture, services.bounds, on_the_way=on_the_way)
    body = ModelTraces(
        model_id=record.id, node=target.name, shape=list(target.output_shape), data=node_traces(found)
    )
    return JSONResponse(body.model_dump(mode="json"))


def _gradients(
    services: Services,
    record: ModelRecord,
    picture: Picture,
    node: str,
    positions: Sequence[tuple[int, ...]],
    slope: Slope,
) -> Response:
    settings = services.settings
    opened = insides.sloped(open_model(services.predictors, record), slope, settings.max_training_bytes)
    place = insides.place(opened, node)
    found, traces = insides.traces_of_gradients(opened, place, positions, picture, slope, services.bounds)
    body = ModelGradientTraces(
        model_id=record.id,
        node=place.name,
        shape=list(place.shape),
        gradient=gradient_of(found, opened.model.classes),
        data=gradient_traces(traces),
    )
    return JSONResponse(body.model_dump(mode="json"))
