"""Diagrams of architectures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request, Response

from app.api.requests.architectures import DescribedArchitecture
from app.errors import Invalid
from app.files.budget import MemoryBudget
from app.jobs.accept.architecture import build
from app.pictures.diagram.draw import draw
from app.scopes import READ
from app.services import ServicesDep
from app.web.answers.negotiation import preferred
from app.web.bodies.needs import needs
from app.web.bodies.route import StrictRoute
from app.web.openapi import problems
from app.web.routes.architectures import LENET, PRESET, RESIDUAL, ArchitectureId, in_turn, stored_network
from engine.graph.network import Network

router = APIRouter(prefix="/v1/architectures", route_class=StrictRoute, tags=["architectures"])

_SVG, _PNG = "image/svg+xml", "image/png"
_PICTURE = {"schema": {"type": "string", "format": "binary"}}
_DRAWN: dict[int | str, dict[str, Any]] = {
    200: {"description": "The network, drawn.", "content": {_PNG: _PICTURE, _SVG: _PICTURE}}
}
_MOST_PIXELS = 40_000_000
_BYTES_EACH = 5
"""Of a pixel that is painted, and of the file."""

Folded = Annotated[
    bool,
    Query(
        description="Whether a layer that changes numbers but not the shape, such as an activation or a batch "
        "normalisation, stands in the box of the layer that it follows; `false` gives every node a box of its own."
    ),
]


@router.post(
    "/diagram",
    summary="Draw an architecture",
    response_class=Response,
    responses=problems(400, 413, 415, 422, 503) | _DRAWN,
)
@needs(READ)
async def draw_architecture(
    architecture: Annotated[
        DescribedArchitecture,
        Body(
            openapi_examples={
                "LeNet-5": {"value": LENET},
                "a residual block": {"value": RESIDUAL},
                "a preset": {"value": PRESET},
            }
        ),
    ],
    request: Request,
    services: ServicesDep,
    folded: Folded = True,
) -> Response:
    """Draw a network from the input at the top to the output, without storing anything: SVG, or PNG by `Accept`.

    A box has a layer's name, its hyperparameters where they are not the default, and its parameters; its colour is
    that of the layer's family. Beside each arrow is the shape that it carries. A block is a frame round its layers.
    """

    def steps() -> Iterator[Response | None]:
        _, network = build(architecture.root, (), services.store)
        yield None
        yield _answer(network, request, folded, services.computing.memory)

    return await in_turn(request, services, steps())


@router.get(
    "/{architecture_id}/diagram",
    summary="Draw a stored architecture",
    response_class=Response,
    responses=problems(404, 422, 503) | _DRAWN,
)
async def get_diagram(
    architecture_id: ArchitectureId, request: Request, services: ServicesDep, folded: Folded = True
) -> Response:
    """Draw a stored architecture, as `POST /v1/architectures/diagram` does."""

    def steps() -> Iterator[Response | None]:
        network = stored_network(architecture_id, services)
        yield None
        yield _answer(network, request, folded, services.computing.memory)

    return await in_turn(request, services, steps())


def _answer(network: Network, request: Request, folded: bool, memory: MemoryBudget) -> Response:
    drawing = draw(network, folded=folded)
    headers = {"Vary": "Accept"}
    if preferred(request, (_SVG, _PNG)) == _SVG:
        return Response(drawing.svg(), media_type=_SVG, headers=headers)
    if drawing.width * drawing.height > _MOST_PIXELS:
        raise Invalid(
            f"a PNG of {drawing.width}x{drawing.height} pixels is too large, at most {_MOST_PIXELS:,} can be "
            f"painted; ask for SVG with `Accept: {_SVG}`"
        )
    with memory.reserve(drawing.width * drawing.height * _BYTES_EACH):
        return Response(drawing.png(), media_type=_PNG, headers=headers)
