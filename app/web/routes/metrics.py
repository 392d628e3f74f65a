"""What Prometheus reads."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Response

from app.metrics.exposition import expose
from app.metrics.installation import installation_samples
from app.services import ServicesDep
from app.web.bodies.route import StrictRoute, polled

router = APIRouter(prefix="/metrics", route_class=StrictRoute, tags=["system"])


@router.get(
    "",
    summary="Get the metrics",
    response_class=Response,
    responses={
        200: {
            "description": "The metrics of all serving processes, in the text format of Prometheus.",
            "content": {
                "text/plain": {"schema": {"type": "string"}},
                "application/openmetrics-text": {"schema": {"type": "string"}},
            },
        }
    },
)
@polled
def get_metrics(
    services: ServicesDep,
    accept: Annotated[str, Header(description="In which format they are wanted; see `200`.")] = "",
) -> Response:
    """Return what is counted, for Prometheus: whichever process answers, the numbers are those of all.

    `docs/watching.md` lists the metrics. Prometheus sends a key as its `authorization` setting says.
    """
    samples = installation_samples(services.store, services.settings, services.metrics)
    content, media_type = expose(services.metrics, samples, accept)
    return Response(content, headers={"Content-Type": media_type, "Cache-Control": "no-store"})
