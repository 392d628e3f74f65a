"""Two architectures side by side."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body

from app.api.architectures import ArchitectureComparison, ComparedArchitecture
from app.api.requests.architectures import ArchitectureComparisonRequest
from app.jobs.accept.architecture import build
from app.services import ServicesDep
from app.web.bodies.route import StrictRoute
from app.web.openapi import problems
from engine.graph.comparison import compare
from engine.graph.costs import Summary
from engine.graph.summary import summarize

router = APIRouter(prefix="/v1/architectures", route_class=StrictRoute, tags=["architectures"])

_RESNETS = {"architectures": [{"preset": "resnet-20"}, {"preset": "resnet-56"}]}
_OTHER_CLASSES = {"architectures": ["arch_example", {"preset": "lenet-5", "classes": 26}]}


@router.post("/compare", summary="Compare two architectures", responses=problems(400, 413, 415, 422))
def compare_architectures(
    request: Annotated[
        ArchitectureComparisonRequest,
        Body(
            openapi_examples={
                "two presets": {"value": _RESNETS},
                "a stored one and a preset": {"value": _OTHER_CLASSES},
            }
        ),
    ],
    services: ServicesDep,
) -> ArchitectureComparison:
    """Put two networks side by side: what each costs and sees, the differences, and the layers that differ.

    Nodes of one name belong together; those left over, where they are alike in all but their names, in order. What
    has no counterpart was removed or added. Inside of `values` each pair is that of the first and of the second.
    """
    chosen = [
        build(choice, ("architectures", place), services.store)
        for place, choice in enumerate(request.architectures)
    ]
    (first, one), (second, other) = chosen
    summaries = summarize(one), summarize(other)
    return ArchitectureComparison(
        architectures=(_compared(first, summaries[0]), _compared(second, summaries[1])),
        **dict(compare(one, other, summaries)),
    )


def _compared(name: str, summary: Summary) -> ComparedArchitecture:
    return ComparedArchitecture(
        name=name,
        input_shape=summary.input_shape,
        output_shape=summary.output_shape,
        totals=summary.totals,
    )
