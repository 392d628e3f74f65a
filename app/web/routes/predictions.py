"""What models see in pictures."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from app.api.models import Predictions, PreprocessedPicture
from app.errors import Invalid
from app.models.prediction import Picture, preprocess
from app.pictures.decode import encode_png
from app.scopes import PREDICT
from app.services import Services, ServicesDep
from app.store.records import ModelRecord
from app.web.answers.arrays import numbers
from app.web.answers.cancellable import compute, gone
from app.web.answers.models import predictions
from app.web.answers.negotiation import preferred
from app.web.answers.stored import stored_model
from app.web.bodies.needs import needs
from app.web.bodies.pictures import only_picture, pictures_body, receive_pictures
from app.web.bodies.route import StrictRoute
from app.web.bodies.whole import Whole
from app.web.openapi import problems
from app.web.routes.model_reference import ModelReference
from engine.recipe.targets import THRESHOLD

router = APIRouter(prefix="/v1/models", route_class=StrictRoute, tags=["models"])

_MOST_NUMBERS = 500_000
"""A picture of 224x224 in colour has 150,528."""


@router.post(
    "/{model_id}/predict",
    summary="Predict",
    response_model=Predictions,
    responses=problems(400, 404, 413, 415, 422, 503),
    openapi_extra={"requestBody": pictures_body},
)
@needs(PREDICT)
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
    errors: Annotated[
        Literal["fail", "report"],
        Query(
            description="What a picture that cannot be decoded does: `fail` the request, or `report` in its entry of "
            "`data` what is wrong with it, beside the predictions for the others."
        ),
    ] = "fail",
) -> Response:
    """Name what is in one or many pictures: files of a form, base64 in JSON, or one picture as the body.

    A model of classes tells the most probable one, a model of labels all that are probable enough (`labels`), a model
    of values its numbers (`values`). Pictures of any size and mode are fitted to the model's input as those that it was
    trained on were.
    """
    record = await stored_model(services.store, model_id)
    report = errors == "report"
    serving = services.serving
    with serving.room() as arrived:
        pictures = await receive_pictures(request, services.settings, with_faults=report, arrived=arrived)
        if threshold is not None and record.target != "labels":
            detail = f"the model {record.id!r} does not tell labels"
            raise Invalid.at("threshold", detail, "leave it out", parameter=True)
        body = await serving.predict(
            record,
            pictures,
            lambda outcomes: predictions(record, pictures, outcomes, top_k, threshold, report=report),
            gone=lambda: gone(request),
            stops=not report,
        )
    return Whole(body)


@router.post(
    "/{model_id}/preprocess",
    summary="See what a model sees",
    response_class=Response,
    responses=problems(400, 404, 413, 415, 422, 503)
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
@needs(PREDICT)
async def preprocess_picture(model_id: ModelReference, request: Request, services: ServicesDep) -> Response:
    """Return one picture exactly as the model sees it, as PNG; with `Accept: application/json` as numbers.

    It is sent in one of the forms that `predict` takes, and goes through the same code as there and in training. In
    JSON, `pixels` is what the PNG shows and `input` what the first layer receives.
    """
    record = await stored_model(services.store, model_id)
    with services.bodies.room() as arrived:
        picture = only_picture(await receive_pictures(request, services.settings, arrived=arrived))
        as_json = preferred(request, ("image/png", "application/json")) == "application/json"
        return await compute(request, services, _show, services, record, picture, as_json)


def _show(services: Services, record: ModelRecord, picture: Picture, as_json: bool) -> Response:
    pixels = preprocess(record, picture, services.bounds)
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
