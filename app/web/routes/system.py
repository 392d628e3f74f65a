"""Whether the server lives and can work."""

from __future__ import annotations

from fastapi import APIRouter

from app.api.system import Health, Readiness
from app.errors import Unavailable
from app.services import ServicesDep
from app.web.bodies.needs import needs
from app.web.bodies.route import StrictRoute, polled
from app.web.openapi import problems

router = APIRouter(route_class=StrictRoute, tags=["system"])


@router.get("/livez", summary="Is the server alive?", response_model=Health)
@needs(None)
@polled
async def livez() -> Health:
    """Answer 200 for as long as the process answers at all. Needs no key."""
    return Health(status="ok")


@router.get(
    "/readyz",
    summary="Can the server work?",
    response_model=Readiness,
    responses=problems(503),
)
@needs(None)
@polled
def readyz(services: ServicesDep) -> Readiness:
    """Answer 200 when disk and database can be written, jobs are being run and the server is not about to stop.

    Otherwise 503, and `errors` says what is wrong: with the `server`, the `disk`, the `database` or the
    `runner` of jobs. What will be wrong before long is in `warnings`. Looks at most once a second; needs no key.
    """
    found = services.readiness.check()
    if found.faults:
        details = dict.fromkeys(fault.detail for fault in found.faults)
        raise Unavailable("; ".join(details), code="not-ready", errors=found.faults)
    return Readiness(status="ok", warnings=list(found.warnings))
