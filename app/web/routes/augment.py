"""Augmentations, applied to a picture that is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from app.api.augment import AugmentAnswer
from app.api.requests.augment import AugmentListRequest, AugmentRequest
from app.errors import Invalid
from app.operations.augment import augmented, working_bytes
from app.operations.limits import ARITHMETIC, MEMORY, exceeded
from app.operations.pictures import decoded, read_values
from app.pictures.bounds import Bounds
from app.pictures.colours import Pixels
from app.pictures.decode import encode_png
from app.pictures.drawing import Drawing
from app.pictures.operation_figure import Operand, draw_operation
from app.pictures.sheets import encode_variants
from app.scopes import READ
from app.services import Services, ServicesDep
from app.web.answers.arrays import NPZ, check_numbers, npz
from app.web.answers.cancellable import compute
from app.web.answers.negotiation import preferred
from app.web.answers.operation_pictures import PNG, SVG
from app.web.answers.problems import ENGINE_CODES
from app.web.bodies.augment import augment_body
from app.web.bodies.files import named_as_sent
from app.web.bodies.needs import needs
from app.web.bodies.operations import Received, receive_operation
from app.web.bodies.route import StrictRoute
from app.web.openapi import problems
from engine.arrays import Array
from engine.errors import EngineError

router = APIRouter(prefix="/v1/operations", route_class=StrictRoute, tags=["operations"])

_JSON = "application/json"
_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_STEPS_EACH = 10
"""Of arithmetic for each number and augmentation; a rotation takes about as many."""
_LARGE = 12

_Received = Received[AugmentRequest | AugmentListRequest]


def _kind(document: Mapping[str, Any]) -> type[AugmentRequest | AugmentListRequest]:
    return AugmentListRequest if isinstance(document.get("augmentation"), list) else AugmentRequest


@router.post(
    "/augment",
    summary="Augment a picture",
    response_class=Response,
    responses=problems(400, 413, 415, 422, 503)
    | {
        200: {
            "description": "What the augmentations make of the picture.",
            "model": AugmentAnswer,
            "content": {_JSON: {}, NPZ: _BINARY, PNG: _BINARY, SVG: _BINARY},
        }
    },
    openapi_extra={"requestBody": augment_body},
)
@needs(READ)
async def augment_picture(request: Request, services: ServicesDep) -> Response:
    """Vary a picture as training does: as the first picture of a job with this seed, in its first `count` epochs.

    The picture is numbers, a file in base64 or the part `file` of a form. The answer is numbers, and by `Accept` a
    picture (`image/png`; of several a sheet that begins with the original), a figure of before and after
    (`image/svg+xml`) or an array (count, H, W, C) for NumPy (`application/x-npz`). Augmentations that mix two pictures
    are refused: the preview of a data set shows them.
    """
    fields = frozenset(AugmentRequest.model_fields)
    with services.bodies.room() as arrived:
        received = await receive_operation(request, _kind, fields, services.settings, arrived)
        form = preferred(request, (_JSON, NPZ, PNG, SVG))
        return await compute(request, services, _answer, services, received, form)


def _answer(services: Services, received: _Received, form: str) -> Response:
    with named_as_sent(json=received.json):
        document, bounds = received.document, services.bounds
        before = _picture(services, received)
        memory = _check(services, before, document.count, len(document.augmentations), form)
        several = isinstance(document, AugmentListRequest)
        with bounds.reserve(memory):
            try:
                after = augmented(
                    before,
                    document.augmentations,
                    document.seed,
                    document.count,
                    several=several,
                    go_on=bounds.go_on,
                )
            except EngineError as error:
                raise Invalid.at(
                    error.path, error.detail, error.hint, code=ENGINE_CODES[type(error)]
                ) from None
            return _written(received, form, before, after, bounds)


def _written(received: _Received, form: str, before: Array, after: Array, bounds: Bounds) -> Response:
    if form == SVG:
        return Response(_figure(before, after).svg(), media_type=SVG)
    if form == PNG:
        return Response(_sheet(_bytes(before), _bytes(after)), media_type=PNG)
    flat = before.shape[2] == 1 and (received.picture is not None or _levels(received.document.input) == 2)
    shown = after[..., 0] if flat else after
    if form == NPZ:
        return npz({"outputs": shown}, "augment.npz", bounds)
    answer = AugmentAnswer(outputs=shown.tolist(), output_shape=list(shown.shape[1:]))
    return JSONResponse(answer.model_dump(mode="json"))


def _picture(services: Services, received: _Received) -> Array:
    """Return the picture, (H, W, C): bytes of a file, float32 of numbers."""
    document = received.document
    if received.picture is None:
        return read_values(document.input)
    if document.scale != 1:
        raise Invalid.at("scale", "augmentations take pixels from 0 to 255", "leave it out")
    return decoded(received.picture, received.place, services.bounds, document.channels)


def _check(services: Services, picture: Array, count: int, augmentations: int, form: str) -> int:
    """Return how much memory it takes.

    Raises:
        TooLarge: that or the arithmetic is more than is allowed, or the answer would be too long.
    """
    shape = (count, *picture.shape)
    if form == _JSON:
        check_numbers(shape, "ask for image/png or application/x-npz")
    settings, size = services.settings, picture.size
    memory = working_bytes(size, count)
    for needed, limit, what in (
        (memory, settings.max_operation_bytes, MEMORY),
        (size * count * augmentations * _STEPS_EACH, settings.max_operation_steps, ARITHMETIC),
    ):
        if needed > limit:
            raise exceeded(
                ("count",), what, needed, limit, "use less, fewer augmentations, or a smaller picture"
            )
    return memory


def _levels(value: Any) -> int:
    return 1 + _levels(value[0]) if isinstance(value, list) else 0


def _bytes(x: Array) -> Pixels:
    pixels: Pixels = np.rint(x).astype(np.uint8)
    return pixels


def _sheet(before: Pixels, after: Pixels) -> bytes:
    if len(after) == 1:
        return encode_png(after[0], level=1)
    return encode_variants(before[np.newaxis], [variant[np.newaxis] for variant in after])


def _figure(before: Array, after: Array) -> Drawing:
    """Draw a picture before and after: as numbers where it is small."""
    large = max(before.shape[:2]) > _LARGE
    operands = [Operand("before", before, pixels=_bytes(before) if large else None)]
    for number, picture in enumerate(after):
        title = f"after, epoch {number + 1}"
        operands.append(
            Operand(title, picture, "," if number else ">", pixels=_bytes(picture) if large else None)
        )
    return draw_operation("augment", [operands], [])
