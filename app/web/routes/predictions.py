"""What models see in pictures."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from app.api.models import Prediction, Predictions, PreprocessedPicture
from app.models.prediction import THRESHOLD, Picture, predict, preprocess
from app.pictures.decode import encode_png
from app.services import Services, ServicesDep
from app.store.records import ModelRecord
from app.web.answers.arrays import numbers
from app.web.answers.models import prediction
from app.web.answers.negotiation import preferred
from app.web.bodies.pictures import only_picture, pictures_body, receive_pictures
from app.web.bodies.route import StrictRoute
from app.web.openapi import problems
from app.web.routes.model_reference import ModelReference

router = APIRouter(prefix="/v1/models", route_class=StrictRoute, tags=["models"])

_MOST_NUMBERS = 500_000
"""A picture of 224x224 in colour has 150,528."""


@router.post(
    "/{model_id}/predict",
    summary="Predict",
    responses=problems(400, 404, 413, 415, 422),
    openapi_extra={"requestBody": pictures_body},
)
async def predict_pictures(
    model_id: ModelReference,
    request: Request,
    services: ServicesDep,
    top_k: Annotated[
        int, Query(ge=1, le=1000, description="How many classes or labels to name for each picture.")
    ] = 3,
    threshold: Annotated[
        float | None,
        Query(
            ge=0,
            le=1,
            allow_inf_nan=False,
            description=f"How probable a label must be to be one of `labels`; {THRESHOLD} if it is not given. For "
            "models of labels only.",
        ),
    ] = None,
) -> Predictions:
    """Name what is in one or many pictures: files of a form, base64 in JSON, or one picture as the body.

    A model of classes tells the most probable one, a model of labels all that are probable enough (`labels`), a model
    of values its numbers (`values`). Pictures of any size and mode are fitted to the model's input as those that it was
    trained on were.
    """
    record = await run_in_threadpool(services.store.models.find, model_id)
    pictures = await receive_pictures(request, services.settings)
    async with services.inference:
        data = await run_in_threadpool(_look, services, record.id, pictures, top_k, threshold)
    return Predictions(model_id=record.id, data=data)


@router.post(
    "/{model_id}/preprocess",
    summary="See what a model sees",
    response_class=Response,
    responses=problems(400, 404, 413, 415, 422)
    | {
        200: {
            "description": "The picture as it reaches the network.",
            "content": {
                "image/png": {"schema": {"type": "string", "format": "binary"}},
                "application/json": {"schema": {"$ref": "#/components/schemas/PreprocessedPicture"}},
            },
        }
    },
    openapi_extra={"requestBody": pictures_body},
)
async def preprocess_picture(model_id: ModelReference, request: Request, services: ServicesDep) -> Response:
    """Return one picture exactly as the model sees it, as PNG; with `Accept: application/json` as numbers.

    It is sent in one of the forms that `predict` takes, and goes through the same code as there and in training. In
    JSON, `pixels` is what the PNG shows and `input` what the first layer receives.
    """
    record = await run_in_threadpool(services.store.models.find, model_id)
    picture = only_picture(await receive_pictures(request, services.settings))
    as_json = preferred(request, ("image/png", "application/json")) == "application/json"
    async with services.inference:
        return await run_in_threadpool(_show, services, record, picture, as_json)


def _look(
    services: Services, model_id: str, pictures: list[Picture], top_k: int, threshold: float | None
) -> list[Prediction]:
    record = services.store.models.get(model_id)
    predictor = services.predictors.get(record)
    most = services.settings.max_image_pixels
    found = predict(predictor, record, pictures, top_k, most, threshold)
    return [prediction(picture.filename, seen) for picture, seen in zip(pictures, found, strict=True)]


def _show(services: Services, record: ModelRecord, picture: Picture, as_json: bool) -> Response:
    pixels = preprocess(record, picture, services.settings.max_image_pixels)
    if not as_json:
        return Response(encode_png(pixels), media_type="image/png")
    model = services.predictors.get(record).model
    body = PreprocessedPicture(
        model_id=record.id,
        image_shape=list(pixels.shape),
        pixels=numbers(pixels, "ask for image/png", _MOST_NUMBERS),
        input=numbers(model.preprocessing.apply(pixels[None])[0], "ask for image/png", _MOST_NUMBERS),
    )
    return JSONResponse(body.model_dump(mode="json"))
