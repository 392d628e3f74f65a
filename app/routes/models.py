"""Models: what training made, and what they see in pictures."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.concurrency import run_in_threadpool

from app.errors import FieldError, TooLarge
from app.limits import read_body
from app.model_files import provenance
from app.openapi import problems
from app.prediction import Picture, from_base64, predict
from app.routing import StrictRoute, is_json, media_type
from app.schemas.common import After, Limit, PageOf
from app.schemas.models import Model, Prediction, PredictionRequest, Predictions
from app.services import Services, ServicesDep
from app.store.records import ModelRecord
from app.strict_json import parse
from app.uploads import FormRules, MemorySink, receive
from app.validation import validate

router = APIRouter(prefix="/v1/models", route_class=StrictRoute, tags=["models"])

ModelReference = Annotated[
    str,
    Path(
        description="The id of a model, or its name and version: `digits@2`.",
        openapi_examples={"built in": {"value": "model_example"}},
    ),
]

_MISSING = problems(404)
_DIGIT = (
    "iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBIAAAAmklEQVR4nM2RSw7DMAhEn6vcK+RkISczORld+B/aZaXOzvPM"
    "gAD+TGl5icAJh4V/6l3yZLkCdXct1jYigcsMOGN3VW0J+nEgwCdzm4HIvhQMqLHX1mvC+KPMJ+XmvuYvV0rpAGnT1lgDimXX"
    "aN2gdWcfSUtsk0WYS+5dNrkql62puwcm7gKq7rkXzuvLhgC3EaTfDt1pPdtv9QbtGlXun99R5wAAAABJRU5ErkJggg=="
)
"""A three from the test split of the data set `digits`, as a PNG file in base64."""
_PICTURES: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": PredictionRequest.model_json_schema(),
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
    },
}


@router.get("", summary="List models", responses=problems(422))
def list_models(services: ServicesDep, limit: Limit = 50, after: After = None) -> PageOf[Model]:
    """List the models, newest first."""
    page = services.store.models.page(limit, after)
    return PageOf(data=[shown(services, record) for record in page.data], next=page.next)


@router.get("/{model_id}", summary="Get a model", responses=_MISSING)
def get_model(model_id: ModelReference, services: ServicesDep) -> Model:
    """Return a model: its classes, its input, how good it is, how it was made."""
    return shown(services, services.store.models.find(model_id))


@router.delete("/{model_id}", status_code=204, summary="Delete a model", responses=problems(404, 409))
def delete_model(
    model_id: Annotated[str, Path(description="The id of a model.")], services: ServicesDep
) -> None:
    """Delete a model and its file."""
    record = services.store.models.delete(model_id)
    services.predictors.forget(record.id)
    services.artifacts.delete(record.path)


@router.post(
    "/{model_id}/predict",
    summary="Predict",
    responses=problems(400, 404, 413, 415, 422),
    openapi_extra={"requestBody": _PICTURES},
)
async def predict_pictures(
    model_id: ModelReference,
    request: Request,
    services: ServicesDep,
    top_k: Annotated[int, Query(ge=1, le=1000, description="How many classes to name for each picture.")] = 3,
) -> Predictions:
    """Name what is in one or many pictures, sent as files (`multipart/form-data`) or as base64 in JSON.

    Pictures of any size and mode are fitted to the model's input as those that it was trained on were.
    """
    record = await run_in_threadpool(services.store.models.find, model_id)
    pictures = await _receive(request, services)
    async with services.inference:
        data = await run_in_threadpool(_look, services, record.id, pictures, top_k)
    return Predictions(model_id=record.id, data=data)


def shown(services: Services, record: ModelRecord) -> Model:
    """Return the body for a record."""
    return Model.of(record, provenance(services.artifacts, record))


async def _receive(request: Request, services: Services) -> list[Picture]:
    """Read the pictures of a request in either form."""
    settings = services.settings
    if is_json(media_type(request)):
        body = await read_body(request, settings.max_predict_bytes)
        return await run_in_threadpool(_read_json, body, settings.max_predict_images)
    rules = FormRules(settings.max_predict_bytes, {"files": settings.max_predict_images}, kind="picture")
    form = await receive(request, rules, MemorySink)
    return [Picture(file.content, filename=file.filename, parameter="files") for file in form.files]


def _read_json(body: bytes, most: int) -> list[Picture]:
    images = validate(PredictionRequest, parse(body)).images
    if len(images) > most:
        field = FieldError(
            f"{len(images)} pictures", pointer="/images", hint=f"send at most {most} at a time"
        )
        raise TooLarge(f"images: {len(images)} pictures; at most {most} are taken at a time", errors=(field,))
    return from_base64(images)


def _look(services: Services, model_id: str, pictures: list[Picture], top_k: int) -> list[Prediction]:
    record = services.store.models.get(model_id)
    predictor = services.predictors.get(record)
    return predict(predictor, record, pictures, top_k, services.settings.max_image_pixels)
