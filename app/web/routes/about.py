"""What the server is, and what it takes."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool

from app import version
from app.api.system import Limits, System
from app.files.memory import available_memory
from app.jobs.accept.additions import MAX_FILES
from app.jobs.accept.rules import SIDES
from app.pictures.headers.read import FORMATS
from app.services import ServicesDep
from app.web.answers.system import kinds_of_jobs
from app.web.bodies.needs import needs
from app.web.bodies.route import StrictRoute

router = APIRouter(prefix="/v1/system", route_class=StrictRoute, tags=["system"])


@router.get("", summary="What is this server?")
@needs(None)
async def get_system(services: ServicesDep) -> System:
    """Return the version, what the server has and takes, and how many jobs have not ended.

    Limits are settings of the operator; larger bodies, files and pictures are refused with 413.
    """
    settings = services.settings
    counts = await run_in_threadpool(services.store.queues.counts)
    limits = settings.model_dump(include=set(Limits.model_fields))
    return System(
        version=version(),
        cores=settings.cores,
        memory_bytes=available_memory(),
        processes=settings.workers,
        needs_key=await services.keyring.is_needed(),
        jobs=kinds_of_jobs(counts),
        limits=Limits(**limits, max_upload_files=MAX_FILES),
        picture_formats=list(FORMATS),
        transfer_sides=sorted(SIDES),
        webhooks=settings.webhook_secret is not None,
    )
