"""Single layers and blocks, applied to what is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Request, Response

from app.api.requests.operations import ConvolveRequest, OperationRequest, Pictured
from app.errors import Invalid, NotFound
from app.operations.convolve import convolve
from app.operations.operation import Inputs, Limits, Options, Task, prepare, read_inputs, run
from app.operations.pictures import read_picture
from app.pictures.pixels import Range
from app.scopes import READ
from app.services import Services, ServicesDep
from app.text import did_you_mean
from app.web.answers.arrays import NPZ
from app.web.answers.cancellable import compute
from app.web.answers.negotiation import preferred
from app.web.answers.operation_pictures import PNG, SVG, as_png, as_svg
from app.web.answers.operations import as_json, as_npz, check_size
from app.web.answers.problems import ENGINE_CODES
from app.web.bodies.files import named_as_sent
from app.web.bodies.needs import needs
from app.web.bodies.operations import Received, convolve_body, receive_operation
from app.web.bodies.route import StrictRoute
from app.web.bodies.validation import validate
from app.web.openapi import operation_responses
from engine.arrays import Array
from engine.errors import EngineError
from engine.graph.operation import Operation
from engine.layers import LAYERS, AnyLayer, LayerRecord
from engine.spec import Spec

router = APIRouter(prefix="/v1/operations", route_class=StrictRoute, tags=["operations"])

T = TypeVar("T", bound=Pictured)
_Kernel = tuple[str, Array]
"""A filter's name and its numbers."""

_JSON = "application/json"

PixelRange = Annotated[
    Range,
    Query(
        alias="range",
        description="How numbers become the pixels of a picture: `clip` takes them as they are and cuts off what is "
        "below 0 or above 255; `signed` makes 0 grey (128), and the largest magnitude black or white; `stretch` makes "
        "the least number black and the greatest white. `auto` is `signed` for filters that find edges, whose numbers "
        "add up to 0, and `clip` for others; for layers it is `signed` where there are negative numbers, else `clip`, "
        "or `stretch` where numbers go beyond 255 or none is above 1. The header `Image-Range` says what was done.",
    ),
]


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
@needs(READ)
async def apply_filter(request: Request, services: ServicesDep, pixels: PixelRange = "auto") -> Response:
    """Slide a filter over a picture and sum the products of each window and the filter.

    The filter has a name or is given as numbers. As in the article it is not flipped, so this is a correlation; with
    `flip` it is the convolution of mathematics. A filter (f, f) is applied to each channel of the picture by itself,
    one of (f, f, C) to all together.

    The picture is numbers, a file in base64 or the part `file` of a form, whose other fields are written as in JSON.
    The answer is numbers, and by `Accept` a picture (`image/png`), a figure with input, filter, output and the
    arithmetic of one number (`image/svg+xml`), or arrays for NumPy (`application/x-npz`).
    """
    with services.bodies.room() as arrived:
        received = await _receive(request, ConvolveRequest, services, arrived)
        body = received.document

        def ready() -> tuple[Task, _Kernel]:
            task, kernel = convolve(body, _inputs(received, body.input, None, services), _limits(services))
            return task, (body.kernel if isinstance(body.kernel, str) else "kernel", kernel)

        return await _answer(request, services, received, ready, pixels)


@router.post("/{operation_type}", include_in_schema=False)
@needs(READ)
async def apply_layer(
    operation_type: str, request: Request, services: ServicesDep, pixels: PixelRange = "auto"
) -> Response:
    """Apply a layer or block; `app.web.openapi_operations` describes it for each type there is."""
    kinds = {kind.tag(): kind for kind in LAYERS}
    if operation_type not in kinds:
        listed = "GET /v1/catalog/layers lists the layers there are"
        hint = did_you_mean(operation_type, [*kinds, "convolve"], listed)
        raise NotFound(f"there is no operation {operation_type[:80]!r}; {hint}")
    with services.bodies.room() as arrived:
        received = await _receive(
            request, OperationRequest, services, arrived, _deeper(kinds[operation_type])
        )
        body = received.document

        def ready() -> tuple[Task, None]:
            options = Options(
                body.weights.arrays,
                body.weights.seed,
                body.statistics,
                body.output_gradient,
                body.trace_positions,
            )
            inputs = _inputs(received, body.input, body.inputs, services)
            task = prepare(_layer(operation_type, body), inputs, options, _limits(services))
            return task, None

        return await _answer(request, services, received, ready, pixels)


async def _receive(
    request: Request,
    kind: type[T],
    services: Services,
    arrived: Callable[[int], None],
    elsewhere: Mapping[str, str] | None = None,
) -> Received[T]:
    fields = frozenset(kind.model_fields)
    return await receive_operation(request, lambda _: kind, fields, services.settings, arrived, elsewhere)


@cache
def _deeper(kind: type[LayerRecord]) -> dict[str, str]:
    """Return where in the body a layer's hyperparameters and weights belong, for who writes them at its top."""
    layer = validate(_Layer, {"layer": kind.examples[0].layer}).layer
    weights = Operation.build(layer, kind.examples[0].inputs).weight_specs
    hints = dict.fromkeys(weights, 'write it inside of "weights"')
    hints |= dict.fromkeys(kind.model_fields, 'write it inside of "layer"')
    own = {"type", "name", *OperationRequest.model_fields}
    return {name: hint for name, hint in hints.items() if name not in own}


def _inputs(received: Received[T], input_: Any, inputs: Sequence[Any] | None, services: Services) -> Inputs:
    if received.picture is None:
        return read_inputs(input_, inputs)
    sent = received.document
    return read_picture(received.picture, received.place, services.bounds, sent.channels, sent.scale)


async def _answer(
    request: Request,
    services: Services,
    received: Received[T],
    ready: Callable[[], tuple[Task, _Kernel | None]],
    pixels: Range,
) -> Response:
    """Check, compute and write, away from the event loop and not more at a time than there are processors."""
    form = preferred(request, (_JSON, NPZ, PNG, SVG))

    def work() -> Response:
        with _named_as_sent(received):
            task, kernel = ready()
            if form in (PNG, SVG):
                # pictures show the output alone
                task = replace(task, output_gradient=None)
            check_size(task, form)
        with services.computing.memory.reserve(task.memory):
            result = run(task, services.computing.go_on)
            if form == SVG:
                return as_svg(result, pixels, kernel)
            numbers = None if kernel is None else kernel[1]
            if form == PNG:
                return as_png(result, pixels, numbers)
            if form == NPZ:
                name = task.operation.layer.type if kernel is None else "convolve"
                return as_npz(result, name, services.bounds)
            return as_json(result, numbers)

    return await compute(request, services, work)


@contextmanager
def _named_as_sent(received: Received[T]) -> Iterator[None]:
    """Let errors, of the engine too, name fields as they were sent."""
    with named_as_sent(json=received.json):
        try:
            yield
        except EngineError as error:
            if received.json:
                raise
            code = ENGINE_CODES[type(error)]
            raise Invalid.at(error.path, error.detail, error.hint, code=code) from None


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
