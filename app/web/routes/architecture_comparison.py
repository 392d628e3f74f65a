"""Two architectures side by side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from app.api.architectures import ArchitectureComparison, ComparedArchitecture
from app.api.requests.architectures import ArchitectureComparisonRequest
from app.jobs.accept.architecture import build
from app.scopes import READ
from app.services import ServicesDep
from app.web.answers.written import written
from app.web.bodies.needs import needs
from app.web.bodies.route import StrictRoute
from app.web.openapi import problems
from app.web.routes.architectures import in_turn
from engine.graph.comparison import compare
from engine.graph.costs import Summary
from engine.graph.summary import summarize

router = APIRouter(prefix="/v1/architectures", route_class=StrictRoute, tags=["architectures"])

_RESNETS = {"architectures": [{"preset": "resnet-20"}, {"preset": "resnet-56"}]}
_OTHER_CLASSES = {"architectures": ["arch_example", {"preset": "lenet-5", "classes": 26}]}


@router.post(
    "/compare",
    summary="Compare two architectures",
    responses=problems(400, 413, 415, 422, 503),
    response_model=ArchitectureComparison,
)
@needs(READ)
async def compare_architectures(
    body: Annotated[
        ArchitectureComparisonRequest,
        Body(
            openapi_examples={
                "two presets": {"value": _RESNETS},
                "a stored one and a preset": {"value": _OTHER_CLASSES},
            }
        ),
    ],
    request: Request,
    services: ServicesDep,
) -> Response:
    """Put two networks side by side: what each costs and sees, the differences, and the layers that differ.

    Nodes of one name belong together; those left over, where they are alike in all but their names, in order. What
    has no counterpart was removed or added. Inside of `values` each pair is that of the first and of the second.
    """

    def steps() -> Iterator[Response | None]:
        chosen = []
        for place, choice in enumerate(body.architectures):
            chosen.append(build(choice, ("architectures", place), services.store))
            yield None
        (first, one), (second, other) = chosen
        summaries = summarize(one), summarize(other)
        yield None
        found = ArchitectureComparison(
            architectures=(_compared(first, summaries[0]), _compared(second, summaries[1])),
            **dict(compare(one, other, summaries)),
        )
        yield written(found)

    return await in_turn(request, services, steps())


def _compared(name: str, summary: Summary) -> ComparedArchitecture:
    return ComparedArchitecture(
        name=name,
        input_shape=summary.input_shape,
        output_shape=summary.output_shape,
        totals=summary.totals,
    )
