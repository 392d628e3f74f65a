"""What the scores of models come from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from app.api.explanations import Explanation, Explanations
from app.errors import Invalid
from app.models.explanations import check, explain_pictures, index_of, word
from app.models.opened import OpenedModel, open_model
from app.models.prediction import Picture, picture_spec
from app.pictures.bounds import Bounds
from app.pictures.decode import decode_whole
from app.pictures.overlays import LONGEST, Legend, draw
from app.scopes import PREDICT
from app.services import Services, ServicesDep
from app.store.records import ModelRecord
from app.web.answers.arrays import NPZ, check_numbers
from app.web.answers.cancellable import finish
from app.web.answers.explanations import arrays, explanation
from app.web.answers.negotiation import preferred
from app.web.answers.stored import stored_model
from app.web.bodies.choices import from_query
from app.web.bodies.needs import needs
from app.web.bodies.pictures import pictures_body, receive_pictures
from app.web.bodies.route import StrictRoute
from app.web.openapi import problems, success
from app.web.routes.model_reference import ModelReference
from engine.model.explanations import EXPLANATIONS, Finding
from engine.model.explanations import Explanation as Method

router = APIRouter(prefix="/v1/models", route_class=StrictRoute, tags=["models"])

_JSON, _PNG = "application/json", "image/png"

MethodDep = Annotated[
    Method,
    Depends(
        from_query(
            {kind.tag(): kind for kind in EXPLANATIONS},
            "method",
            "How: see `GET /v1/catalog/explanations`.",
        )
    ),
]


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request, read."""

    record: ModelRecord
    method: Method
    name: str | None
    relative: bool
    channels: bool
    pictures: list[Picture]
    form: str


@router.post(
    "/{model_id}/explain",
    summary="Explain a prediction",
    response_class=Response,
    responses=problems(400, 404, 413, 415, 422, 503)
    | success(
        "What the score comes from, in numbers or drawn over the picture.",
        Explanation | Explanations,
        _PNG,
        NPZ,
    ),
    openapi_extra={"requestBody": pictures_body},
)
@needs(PREDICT)
async def explain_model(
    model_id: ModelReference,
    request: Request,
    services: ServicesDep,
    method: MethodDep,
    name: Annotated[
        str | None,
        Query(
            alias="class",
            description="The class, label or value whose score is explained; by default the predicted class, or the "
            "most probable label. A model of several values needs it.",
        ),
    ] = None,
    relative: Annotated[
        bool,
        Query(
            description="Of a model of classes: explain how much higher the score is than the mean of those of all "
            "classes. That is what the prediction follows, since softmax does not see what all of them have in common."
        ),
    ] = False,
    channels: Annotated[
        bool, Query(description="Give a number for each channel of a pixel, in JSON.")
    ] = False,
) -> Response:
    """Say which parts of a picture the score of a class, label or value comes from.

    One picture is answered with one object, several with `{"data": [...]}`. With `Accept: image/png` the map is drawn
    over the picture as it was sent; with `Accept: application/x-npz` it is a file of NumPy. `checks` has in numbers
    what must hold of the map. What takes more passes through the network than the operator allows is refused with 422
    (`/problems/too-many-passes`); the computation ends when the connection is closed.
    """
    record = await stored_model(services.store, model_id)
    with services.bodies.room() as arrived:
        pictures = await receive_pictures(request, services.settings, arrived=arrived)
        asked = _Asked(
            record, method, name, relative, channels, pictures, preferred(request, (_JSON, _PNG, NPZ))
        )
        return await finish(request, services, _answer(services, asked))


def _answer(services: Services, asked: _Asked) -> Iterator[Response | None]:
    record, method, pictures = asked.record, asked.method, asked.pictures
    _check_form(asked)
    if asked.relative and record.target != "class":
        detail = f"the model {record.id!r} does not tell classes, and each of its scores counts by itself"
        raise Invalid.at("relative", detail, "leave it out", parameter=True)
    index = index_of(record, asked.name)
    opened = open_model(services.predictors, record)
    settings = services.settings
    check(
        opened,
        method,
        len(pictures),
        most_multiply_adds=settings.max_explanation_multiply_adds,
        most_bytes=settings.max_training_bytes,
    )
    bounds = services.bounds
    for found in explain_pictures(opened, method, pictures, index, bounds, relative=asked.relative):
        yield None if found is None else _response(opened, asked, found, bounds)


def _check_form(asked: _Asked) -> None:
    if asked.channels and not asked.method.per_channel:
        detail = f"{asked.method.type} does not tell channels apart"
        raise Invalid.at("channels", detail, "leave it out", parameter=True)
    if asked.form == _PNG and len(asked.pictures) != 1:
        raise Invalid(
            f"there are {len(asked.pictures)} pictures, and one is drawn at a time; send one, or ask for {_JSON}"
        )
    if asked.form == _JSON:
        height, width, channels = asked.record.input_shape
        shape = (len(asked.pictures), height, width) + ((channels,) if asked.channels else ())
        check_numbers(shape, f"ask for {_PNG} or {NPZ}")


def _response(opened: OpenedModel, asked: _Asked, findings: list[Finding], bounds: Bounds) -> Response:
    record, method = asked.record, asked.method
    if asked.form == NPZ:
        return arrays(record, method, findings, bounds)
    if asked.form == _PNG:
        return Response(_overlay(asked, findings[0], bounds), media_type=_PNG)
    shown = [
        explanation(record, method, picture.filename, finding, asked.channels, relative=asked.relative)
        for picture, finding in zip(asked.pictures, findings, strict=True)
    ]
    body = shown[0] if len(shown) == 1 else Explanations(data=shown)
    return JSONResponse(body.model_dump(mode="json"))


def _overlay(asked: _Asked, finding: Finding, bounds: Bounds) -> bytes:
    record, method, explained = asked.record, asked.method, finding.explained
    whole = decode_whole(asked.pictures[0].data, picture_spec(record), bounds, LONGEST)
    where = f" of {explained.node}" if explained.node else ""
    legend = Legend(
        title=f"{method.type}{where}",
        subject=f"{word(record)}: {record.classes[finding.index]}",
        score=explained.score,
    )
    return draw(whole, method.map(explained.values), legend, signed=method.signed)
