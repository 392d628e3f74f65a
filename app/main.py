"""The application: routes and middleware, put together; no globals, no work at import."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from pydantic.warnings import UnsupportedFieldAttributeWarning
from starlette.concurrency import run_in_threadpool

from app import version
from app.processes.member import Member
from app.services import Services
from app.settings import Settings
from app.web import docs_page, openapi
from app.web.application import Application
from app.web.bodies.idempotency import Ledger
from app.web.late_routes import LateRoutes
from app.web.middleware.finish_body import FinishBody
from app.web.middleware.gate import Gate
from app.web.middleware.head import Head
from app.web.middleware.request_log import RequestLog
from app.web.page import Page
from app.web.routes import system

RESOURCES = {
    "/v1/catalog": ("catalog",),
    "/v1/architectures": ("architecture_diagrams", "architecture_comparison", "architectures"),
    "/v1/operations/augment": ("augment",),
    "/v1/operations": ("operations",),
    # first what may be had by name: no data set is called `downloads`
    "/v1/datasets": ("dataset_downloads", "datasets", "dataset_pictures", "dataset_images"),
    "/v1/training-jobs": ("training_jobs",),
    "/v1/training-steps": ("training_steps",),
    "/v1/models": (
        "predictions",
        "models",
        "model_aliases",
        "model_insides",
        "model_traces",
        "model_filters",
        "explanations",
        "model_files",
        "model_onnx",
    ),
    "/v1/batch-predictions": ("batch_predictions",),
    "/v1/evaluations": ("evaluations", "evaluation_predictions"),
    "/v1/events": ("events",),
    "/v1/system": ("about",),
    "/v2": ("inference_protocol", "inference_protocol_models"),
}
"""Paths, and the modules of `app.web.routes` that answer there."""


def create_app(settings: Settings, member: Member | None = None) -> FastAPI:
    """Make the application; it opens its data directory when it starts and closes it when it stops.

    Args:
        settings: see `app.settings`.
        member: what this process was handed, if it is one of several that serve.

    Raises:
        SettingsError: the address is not a loopback one and there is no API key.
    """
    settings.check_exposure()
    # FastAPI ignores it while it makes a route; the schemas of bodies are made later, at the first request
    warnings.filterwarnings("ignore", category=UnsupportedFieldAttributeWarning)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        services = await run_in_threadpool(Services.open, settings, member)
        app.state.services = services
        app.state.ledger = Ledger(services.store)
        try:
            yield
        finally:
            await run_in_threadpool(services.close)

    app = Application(
        title="convserve",
        version=version(),
        description=openapi.DESCRIPTION,
        openapi_tags=openapi.TAGS,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.settings = settings
    app.router.routes += [LateRoutes(prefix, modules) for prefix, modules in RESOURCES.items()]
    app.router.routes += [*system.router.routes, Page()]
    docs_page.install(app)
    # The last one added is the first to see a request.
    app.add_middleware(Head)
    app.add_middleware(Gate, settings=settings)
    app.add_middleware(RequestLog)
    app.add_middleware(FinishBody)
    return app
