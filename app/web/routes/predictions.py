"""What models see in pictures."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from app.api.models import Prediction, Predictions, PreprocessedPicture
from app.api.requests.models import PredictionRequest
from app.errors import Invalid, TooLarge, Unsupported
from app.models.prediction import THRESHOLD, Picture, from_base64, predict, preprocess
from app.pictures.decode import encode_png
from app.services import Services, ServicesDep
from app.store.records import ModelRecord
from app.web.answers.models import prediction
from app.web.answers.negotiation import preferred
from app.web.bodies.json import parse
from app.web.bodies.limits import read_body
from app.web.bodies.multipart import FormRules, receive
from app.web.bodies.route import StrictRoute, is_json, media_type
from app.web.bodies.schemas import inlined_schema
from app.web.bodies.sinks import MemorySink
from app.web.bodies.validation import validate
from app.web.openapi import problems
from app.web.routes.models import ModelReference

router = APIRouter(prefix="/v1/models", route_class=StrictRoute, tags=["models"])

_MAX_NUMBERS = 500_000
_DIGIT = (
    "iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBIAAAAmklEQVR4nM2RSw7DMAhEn6vcK+RkISczORld+B/aZaXOzvPM"
    "gAD+TGl5icAJh4V/6l3yZLkCdXct1jYigcsMOGN3VW0J+nEgwCdzm4HIvhQMqLHX1mvC+KPMJ+XmvuYvV0rpAGnT1lgDimXX"
    "aN2gdWcfSUtsk0WYS+5dNrkql62puwcm7gKq7rkXzuvLhgC3EaTfDt1pPdtv9QbtGlXun99R5wAAAABJRU5ErkJggg=="
)
"""A three from the test split of the data set `digits`, as a PNG file in base64."""


def _pictures() -> dict[str, Any]:
    return {
        "required": True,
        "content": {
            "application/json": {
                "schema": inlined_schema(PredictionRequest),
                "examples": {"a digit": {"value": {"images": [_DIGIT]}}},
            },
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {
                        "files": {
                            "type": "array",
                            "description": "Picture files.",
                            "items": {"type": "string", "format": "binary"},
                        }
                    },
                }
            },
            "image/*": {"schema": {"type": "string", "format": "binary"}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }


_FORMS = (
    "send one picture with `Content-Type: image/png` or application/octet-stream, several as the parts `files` of a "
    'form (`curl -F files=@name`), or JSON as {"images": ["<base64>"]}'
)


@router.post(
    "/{model_id}/predict",
    summary="Predict",
    responses=problems(400, 404, 413, 415, 422),
    openapi_extra={"requestBody": _pictures},
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
    pictures = await _receive(request, services)
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
    openapi_extra={"requestBody": _pictures},
)
async def preprocess_picture(model_id: ModelReference, request: Request, services: ServicesDep) -> Response:
    """Return one picture exactly as the model sees it, as PNG; with `Accept: application/json` as numbers.

    It is sent in one of the forms that `predict` takes, and goes through the same code as there and in training. In
    JSON, `pixels` is what the PNG shows and `input` what the first layer receives.
    """
    record = await run_in_threadpool(services.store.models.find, model_id)
    pictures = await _receive(request, services)
    if len(pictures) != 1:
        raise Invalid(f"there are {len(pictures)} pictures, and one is shown at a time; send one")
    as_json = preferred(request, ("image/png", "application/json")) == "application/json"
    async with services.inference:
        return await run_in_threadpool(_show, services, record, pictures[0], as_json)


async def _receive(request: Request, services: Services) -> list[Picture]:
    """Read the pictures of a request in any form."""
    settings = services.settings
    received = media_type(request)
    if received.startswith("image/") or received == "application/octet-stream":
        return [Picture(await read_body(request, settings.max_predict_bytes), parameter="body")]
    if is_json(received):
        body = await read_body(request, settings.max_predict_bytes)
        return await run_in_threadpool(_read_json, body, settings.max_predict_images)
    if received != "multipart/form-data":
        detail = f"no pictures can be read from {received}" if received else "this header is missing"
        raise Unsupported.at("Content-Type", detail, _FORMS, parameter=True)
    rules = FormRules(settings.max_predict_bytes, {"files": settings.max_predict_images}, kind="picture")
    form = await receive(request, rules, MemorySink)
    return [Picture(file.content, filename=file.filename, parameter="files") for file in form.files]


def _read_json(body: bytes, most: int) -> list[Picture]:
    document = parse(body)
    sent = document.get("images") if isinstance(document, dict) else None
    if isinstance(sent, list) and len(sent) > most:
        raise TooLarge.at("images", f"{len(sent)} pictures", f"send at most {most} at a time")
    return from_base64(validate(PredictionRequest, document).images)


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
    if pixels.size > _MAX_NUMBERS:
        raise TooLarge(
            f"the picture has {pixels.size} numbers; at most {_MAX_NUMBERS} are written out as JSON"
        )
    model = services.predictors.get(record).model
    body = PreprocessedPicture(
        model_id=record.id,
        image_shape=list(pixels.shape),
        pixels=pixels.tolist(),
        input=model.preprocessing.apply(pixels[None])[0].tolist(),
    )
    return JSONResponse(body.model_dump(mode="json"))
