"""A look inside of models: what their nodes put out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from app.api.insides import Accounts, Activations
from app.errors import TooLarge
from app.models import insides
from app.models.opened import open_model
from app.models.prediction import Picture
from app.pictures.drawing import Drawing
from app.services import Services, ServicesDep
from app.store.records import ModelRecord
from app.web.answers.arrays import NPZ, check_file_numbers, check_numbers, npz
from app.web.answers.insides import account, activations, drawn_account, drawn_output
from app.web.answers.negotiation import preferred
from app.web.bodies.pictures import only_picture, pictures_body, receive_pictures
from app.web.bodies.route import StrictRoute
from app.web.openapi import problems
from app.web.routes.model_reference import ModelReference

router = APIRouter(prefix="/v1/models", route_class=StrictRoute, tags=["models"])

_JSON, _PNG = "application/json", "image/png"
_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_MOST_ROWS = 2000
"""Nodes of all pictures of one account together: each has a thumbnail."""

Scale = Literal["map", "shared"]


@router.post(
    "/{model_id}/activations",
    summary="See what nodes put out",
    response_class=Response,
    responses=problems(400, 404, 413, 415, 422)
    | {
        200: {
            "description": "What one node, or each node in short, puts out for each picture.",
            "model": Activations | Accounts,
            "content": {_JSON: {}, _PNG: _BINARY, NPZ: _BINARY},
        }
    },
    openapi_extra={"requestBody": pictures_body},
)
async def show_activations(
    model_id: ModelReference,
    request: Request,
    services: ServicesDep,
    node: Annotated[
        str | None,
        Query(
            description="The name of a node of the network, or `input`. Without it, all of them are shown in short.",
            openapi_examples={"the first layer": {"value": "conv2d_1/activation"}},
        ),
    ] = None,
    scale: Annotated[
        Scale,
        Query(
            description="Whether each `map` of a PNG has its own scale of colours, or one is `shared` by all."
        ),
    ] = "map",
) -> Response:
    """Return what the nodes of a network put out for pictures, which are sent in one of the forms that `predict` takes.

    With `node`: all numbers of that node and their statistics, up to 100,000 numbers; `Accept: application/x-npz` gives
    them as an array (pictures, height, width, channels) for NumPy, and `Accept: image/png` draws the maps of one
    picture. Without `node`: the way of each picture through the network, with shape, minimum, mean, maximum, share of
    zeros and a thumbnail of every node; with `Accept: image/png` as one drawing for one picture.

    The network runs as in predictions, with the statistics gathered in training.
    """
    record = await run_in_threadpool(services.store.models.find, model_id)
    pictures = await receive_pictures(request, services.settings)
    form = preferred(request, (_JSON, _PNG) if node is None else (_JSON, _PNG, NPZ))
    async with services.inference:
        if node is None:
            return await run_in_threadpool(_accounts, services, record, pictures, form)
        return await run_in_threadpool(_activations, services, record, pictures, node, form, scale)


def _accounts(services: Services, record: ModelRecord, pictures: Sequence[Picture], form: str) -> Response:
    opened = open_model(services.predictors, record)
    most = services.settings.max_image_pixels
    if form == _PNG:
        picture = only_picture(pictures)
        title = f"{record.name}@{record.version}: {picture.filename or 'the picture'} on its way through the network"
        return _drawn(drawn_account(title, insides.way(opened, picture, most)))
    rows = len(opened.network.nodes) + 1
    if rows * len(pictures) > _MOST_ROWS:
        raise TooLarge(
            f"{len(pictures)} pictures at {rows:,} nodes each; at most {_MOST_ROWS:,} are shown: send fewer pictures, "
            "or name a node"
        )
    data = [account(picture.filename, insides.way(opened, picture, most)) for picture in pictures]
    return JSONResponse(Accounts(model_id=record.id, data=data).model_dump(mode="json"))


def _activations(
    services: Services, record: ModelRecord, pictures: Sequence[Picture], node: str, form: str, scale: Scale
) -> Response:
    opened = open_model(services.predictors, record)
    place = insides.place(opened, node)
    shape = (len(pictures), *place.shape)
    if form == _PNG:
        only_picture(pictures)
    elif form == NPZ:
        check_file_numbers(shape, "send fewer pictures")
    else:
        check_numbers(shape, "ask for image/png or application/x-npz")
    outputs = insides.outputs(opened, node, pictures, services.settings.max_image_pixels)
    if form == _PNG:
        names = insides.number_names(opened, node)
        return _drawn(drawn_output(place, outputs[0], names, shared=scale == "shared"))
    if form == NPZ:
        return npz({node: outputs}, f"{record.id}-{node}.npz")
    body = activations(record.id, place, [picture.filename for picture in pictures], outputs)
    return JSONResponse(body.model_dump(mode="json"))


def _drawn(drawing: Drawing) -> Response:
    return Response(drawing.png(), media_type=_PNG)
