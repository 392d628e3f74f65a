"""A look inside of models: what their nodes put out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from app.api.insides import Activations
from app.models import insides
from app.models.opened import open_model
from app.models.prediction import Picture
from app.services import Services, ServicesDep
from app.store.records import ModelRecord
from app.web.answers.arrays import check_numbers
from app.web.answers.insides import activations
from app.web.bodies.pictures import pictures_body, receive_pictures
from app.web.bodies.route import StrictRoute
from app.web.openapi import problems
from app.web.routes.models import ModelReference

router = APIRouter(prefix="/v1/models", route_class=StrictRoute, tags=["models"])


@router.post(
    "/{model_id}/activations",
    summary="See what a node puts out",
    response_class=Response,
    responses=problems(400, 404, 413, 415, 422)
    | {200: {"description": "What the node puts out for each picture.", "model": Activations}},
    openapi_extra={"requestBody": pictures_body},
)
async def show_activations(
    model_id: ModelReference,
    request: Request,
    services: ServicesDep,
    node: Annotated[
        str,
        Query(
            description="The name of a node of the network, or `input`.",
            openapi_examples={"the first layer": {"value": "conv2d_1/activation"}},
        ),
    ],
) -> Response:
    """Return what one node puts out for pictures, which are sent in one of the forms that `predict` takes.

    The network runs as in predictions, with the statistics gathered in training.
    """
    record = await run_in_threadpool(services.store.models.find, model_id)
    pictures = await receive_pictures(request, services.settings)
    async with services.inference:
        return await run_in_threadpool(_activations, services, record, pictures, node)


def _activations(services: Services, record: ModelRecord, pictures: list[Picture], node: str) -> Response:
    opened = open_model(services.predictors, record)
    place = insides.place(opened, node)
    check_numbers((len(pictures), *place.shape), "ask for image/png or application/x-npz")
    outputs = insides.outputs(opened, node, pictures, services.settings.max_image_pixels)
    body = activations(record.id, place, [picture.filename for picture in pictures], outputs)
    return JSONResponse(body.model_dump(mode="json"))
