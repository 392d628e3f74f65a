"""Single layers and blocks, applied to what is sent."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import TypeVar

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from app.api.requests.operations import ConvolveRequest, OperationRequest
from app.errors import Invalid, NotFound
from app.operations.convolve import convolve
from app.operations.operation import Limits, Options, Task, prepare, read_inputs, run
from app.services import Services, ServicesDep
from app.web.answers.arrays import NPZ
from app.web.answers.negotiation import preferred
from app.web.answers.operations import as_json, as_npz, check_size
from app.web.bodies.operations import convolve_body
from app.web.bodies.route import StrictRoute, is_json, media_type, not_json, read_document
from app.web.bodies.validation import validate
from app.web.openapi import operation_responses
from engine.arrays import Array
from engine.layers import LAYERS, AnyLayer, LayerRecord
from engine.spec import Spec

router = APIRouter(prefix="/v1/operations", route_class=StrictRoute, tags=["operations"])

T = TypeVar("T")

_JSON = "application/json"


class _Layer(Spec):
    """The part of a body that holds a layer, so that its faults are found where they are in the whole body."""

    layer: AnyLayer


@router.post(
    "/convolve",
    summary="Apply a filter to a picture",
    response_class=Response,
    responses=operation_responses(),
    openapi_extra={"requestBody": convolve_body},
)
async def apply_filter(request: Request, services: ServicesDep) -> Response:
    """Slide a filter over a picture and sum the products of each window and the filter.

    The filter has a name or is given as numbers. As in the article it is not flipped, so this is a correlation; with
    `flip` it is the convolution of mathematics. A filter (f, f) is applied to each channel of the picture by itself,
    one of (f, f, C) to all together. `Accept: application/x-npz` gets arrays for NumPy.
    """
    body = await _read(request, ConvolveRequest)

    def ready() -> tuple[Task, Array | None]:
        return convolve(body, read_inputs(body.input, None), _limits(services))

    return await _answer(request, services, ready)


@router.post("/{operation_type}", include_in_schema=False)
async def apply_layer(operation_type: str, request: Request, services: ServicesDep) -> Response:
    """Apply a layer or block; `app.web.openapi_operations` describes it for each type there is."""
    kinds = {kind.tag(): kind for kind in LAYERS}
    if operation_type not in kinds:
        near = difflib.get_close_matches(operation_type[:80], [*kinds, "convolve"], 1)
        hint = f"did you mean {near[0]}?" if near else "GET /v1/catalog/layers lists the layers there are"
        raise NotFound(f"there is no operation {operation_type[:80]!r}; {hint}")
    body = await _read(request, OperationRequest)

    def ready() -> tuple[Task, Array | None]:
        options = Options(
            body.weights.arrays,
            body.weights.seed,
            body.statistics,
            body.output_gradient,
            body.trace_positions,
        )
        inputs = read_inputs(body.input, body.inputs)
        task = prepare(_layer(operation_type, body), inputs, options, _limits(services))
        return task, None

    return await _answer(request, services, ready)


async def _read(request: Request, kind: type[T]) -> T:
    if not is_json(media_type(request)):
        raise not_json(request)
    return await read_document(request, kind)


async def _answer(
    request: Request, services: Services, ready: Callable[[], tuple[Task, Array | None]]
) -> Response:
    """Check, compute and write, away from the event loop and not more at a time than there are processors."""
    form = preferred(request, (_JSON, NPZ))

    def work() -> Response:
        task, kernel = ready()
        check_size(task, form)
        result = run(task)
        return as_npz(result) if form == NPZ else as_json(result, kernel)

    async with services.inference:
        return await run_in_threadpool(work)


def _layer(operation_type: str, body: OperationRequest) -> LayerRecord:
    for key, hint in (
        ("type", "leave it out: it stands in the address"),
        ("name", "leave it out: there is no other layer to tell it from"),
        ("inputs", "leave it out, and send the numbers themselves as `input` or `inputs`"),
    ):
        if key in body.layer:
            raise Invalid.at(("layer", key), "no layer of an operation has this key", hint)
    layer: LayerRecord = validate(_Layer, {"layer": {"type": operation_type, **body.layer}}).layer
    return layer


def _limits(services: Services) -> Limits:
    settings = services.settings
    return Limits(settings.max_parameters, settings.max_operation_bytes, settings.max_operation_steps)
