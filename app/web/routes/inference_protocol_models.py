"""Models by the Open Inference Protocol (V2): what there are, what they take, and which are in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from app.api.requests.inference_protocol import IndexRequest, LoadRequest
from app.errors import Invalid
from app.scopes import READ
from app.services import Services, ServicesDep
from app.store import Store
from app.store.records import ModelRecord
from app.web.bodies.needs import needs
from app.web.bodies.route import StrictRequest, StrictRoute
from app.web.bodies.validation import validate
from app.web.inference_protocol import descriptions
from app.web.inference_protocol.references import Named

router = APIRouter(prefix="/v2", route_class=StrictRoute, include_in_schema=False)

_PAGE = 200


@router.get("/models")
def list_names(services: ServicesDep) -> Response:
    """List the names of all models."""
    names = dict.fromkeys(record.name for record in _all(services.store))
    return JSONResponse({"models": list(names)})


@router.get("/models/stats")
async def show_all_statistics(services: ServicesDep) -> Response:
    """Show what all models have done for callers of this protocol since this process started."""
    records = await run_in_threadpool(lambda: list(_all(services.store)))
    return _statistics(services, records)


@router.get("/models/{name}")
@router.get("/models/{name}/versions/{version}")
@needs(None)
async def describe(name: str, model: Named, services: ServicesDep) -> Response:
    """Describe a model of a name (the newest version), an id or an alias, or one version."""
    same = await run_in_threadpool(lambda: list(_all(services.store, model.name)))
    return JSONResponse(descriptions.model(model, name, {other.version for other in same}))


@router.get("/models/{name}/ready")
@router.get("/models/{name}/versions/{version}/ready")
@needs(None)
async def ready(name: str, model: Named) -> Response:
    """Answer 200 for a model that can be asked, 404 for one that there is not."""
    return JSONResponse({"name": name, "ready": True})


@router.get("/models/{name}/config")
@router.get("/models/{name}/versions/{version}/config")
@needs(None)
async def configuration(name: str, model: Named, services: ServicesDep) -> Response:
    """Show the configuration of a model, in Triton's words."""
    return JSONResponse(descriptions.config(model, name, services.settings.max_predict_images))


@router.get("/models/{name}/stats")
@router.get("/models/{name}/versions/{version}/stats")
async def statistics(model: Named, services: ServicesDep) -> Response:
    """Show what a model has done for callers of this protocol since this process started."""
    return _statistics(services, [model])


@router.post("/repository/index")
@needs(READ)
async def index(request: StrictRequest, services: ServicesDep) -> Response:
    """List all models and their versions."""
    await _read(request, IndexRequest)  # whether only those are wanted that can be asked: all can
    records = await run_in_threadpool(lambda: list(_all(services.store)))
    return JSONResponse([descriptions.index_entry(record) for record in records])


@router.post("/repository/models/{name}/load")
async def load(model: Named, request: StrictRequest, services: ServicesDep) -> Response:
    """Load a model into memory now, rather than with its first request."""
    asked = await _read(request, LoadRequest)
    refused = [key for key in asked.parameters if key == "config" or key.startswith("file:")]
    if refused:
        detail, hint = f"{refused[0][:100]} is not taken", "post the file to /v1/models/import"
        raise Invalid.at(("parameters", refused[0]), detail, hint)
    await run_in_threadpool(services.predictors.get, model)
    return JSONResponse({})


@router.post("/repository/models/{name}/unload")
async def unload(model: Named, request: StrictRequest, services: ServicesDep) -> Response:
    """Let go of a model's memory in this process; its next request loads it again."""
    await _read(request, LoadRequest)
    await run_in_threadpool(services.predictors.forget, model.id)
    return JSONResponse({})


def _statistics(services: Services, records: list[ModelRecord]) -> Response:
    counts = services.serving.statistics
    entries = [descriptions.statistics(record, counts.of(record.id)) for record in records]
    return JSONResponse({"model_stats": entries})


async def _read(request: StrictRequest, kind: Any) -> Any:
    """Read a body that may be missing, whatever it calls its type: clients send it without one."""
    return await request.validated(kind) if await request.body() else validate(kind, {})


def _all(store: Store, name: str | None = None) -> Iterator[ModelRecord]:
    """Yield all models, or those of a name, the newest first."""
    after = None
    while True:
        page = store.models.page(_PAGE, after, name=name)
        yield from page.data
        after = page.next
        if after is None:
            return
