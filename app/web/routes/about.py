"""What the server is, and what it takes."""

from __future__ import annotations

from fastapi import APIRouter

from app import version
from app.api.system import KindOfJobs, Limits, System
from app.files.memory import available_memory
from app.jobs.accept.additions import MAX_FILES
from app.jobs.accept.rules import SIDES
from app.jobs.kinds import KINDS
from app.pictures.decode import FORMATS
from app.services import ServicesDep
from app.states import ACTIVE, JobStatus
from app.web.bodies.route import StrictRoute

router = APIRouter(prefix="/v1/system", route_class=StrictRoute, tags=["system"])


@router.get("", summary="What is this server?")
def get_system(services: ServicesDep) -> System:
    """Return the version, what the server has and takes, and how many jobs have not ended.

    Limits are settings of the operator; larger bodies, files and pictures are refused with 413.
    """
    settings = services.settings
    counts = services.store.queues.counts()
    limits = settings.model_dump(include=set(Limits.model_fields))
    return System(
        version=version(),
        cores=settings.cores,
        memory_bytes=available_memory(),
        processes=settings.workers,
        needs_key=settings.api_key is not None,
        jobs=[
            KindOfJobs(
                kind=kind,
                running=sum(counts.get((kind, status), 0) for status in ACTIVE),
                queued=counts.get((kind, JobStatus.QUEUED), 0),
            )
            for kind in KINDS
        ],
        limits=Limits(**limits, max_upload_files=MAX_FILES),
        picture_formats=list(FORMATS),
        transfer_sides=sorted(SIDES),
        webhooks=settings.webhook_secret is not None,
    )
