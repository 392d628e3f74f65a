"""Whether the server lives and can work."""

from __future__ import annotations

from fastapi import APIRouter

from app.api.system import Health
from app.errors import FieldError, Unavailable
from app.services import ServicesDep
from app.web.bodies.route import StrictRoute
from app.web.openapi import problems

router = APIRouter(route_class=StrictRoute, tags=["system"])


@router.get("/livez", summary="Is the server alive?", response_model=Health)
async def livez() -> Health:
    """Answer 200 for as long as the process answers at all. Needs no key."""
    return Health(status="ok")


@router.get("/readyz", summary="Can the server work?", response_model=Health, responses=problems(503))
def readyz(services: ServicesDep) -> Health:
    """Answer 200 when the database answers, jobs are being run and the server is not about to stop.

    Otherwise 503, and `errors` says what is wrong. Needs no key.
    """
    faults = []
    if services.draining:
        faults.append(FieldError(parameter="server", detail="the server is about to stop"))
    try:
        services.store.jobs.active()
        runs = services.draining or services.duties.alive
    except Exception as error:
        # Whatever keeps the database from answering, the answer is the same.
        faults.append(
            FieldError(
                parameter="database",
                detail=f"the database does not answer: {type(error).__name__}",
                hint="check that the disk with the data directory is mounted, writable and not full",
            )
        )
    else:
        if not runs:
            faults.append(
                FieldError(
                    parameter="runner",
                    detail="the part that starts training jobs has died",
                    hint="look at the log, then restart the server; no job is lost",
                )
            )
    if faults:
        raise Unavailable("; ".join(fault.detail for fault in faults), code="not-ready", errors=faults)
    return Health(status="ok")
