"""The application: routes and middleware, put together; no globals, no work at import."""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI
from pydantic.warnings import UnsupportedFieldAttributeWarning
from starlette.concurrency import run_in_threadpool
from starlette.routing import BaseRoute

from app import version
from app.files.memory import return_large_blocks
from app.log.counted import Counted
from app.metrics.families import LOG_EVENTS
from app.metrics.metrics import Metrics
from app.processes.member import Member
from app.processes.series import Series
from app.services import Services
from app.settings import Settings, SettingsError
from app.settings.fields import variable
from app.tracing.tracing import tracing_if_wanted
from app.web import docs_page, openapi
from app.web.application import Application
from app.web.bodies.idempotency import Ledger
from app.web.late_routes import LateRoutes
from app.web.middleware.cors import Cors
from app.web.middleware.forwarded import Forwarded
from app.web.middleware.gate import PAGE_FILES, Gate
from app.web.middleware.head import Head
from app.web.middleware.request_log import Answered, RequestLog
from app.web.middleware.traces import Traces
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
    "/v1/keys": ("keys",),
    "/v1/signed-addresses": ("signed_addresses",),
    "/v1/system": ("about",),
    "/metrics": ("metrics",),
    "/v1/version": ("version",),
    "/v2": ("inference_protocol", "inference_protocol_models"),
}
"""Paths, and the modules of `app.web.routes` that answer there."""
_SAMPLED_SECONDS = 1.0
"""How old may be what one of several processes answers about another: its connections, its memory."""


def create_app(settings: Settings, member: Member | None = None, series: Series | None = None) -> FastAPI:
    """Make the application; it opens its data directory when it starts and closes it when it stops.

    Args:
        settings: see `app.settings`.
        member: what this process was handed, if it is one of several that serve.
        series: where it counts what it does, if others have that in view.

    Raises:
        SettingsError: the address is not a loopback one and there is no API key.
    """
    settings.check_exposure()
    metrics = Metrics(series) if series is not None else Metrics.alone()
    tracing = tracing_if_wanted()
    # FastAPI ignores it while it makes a route; the schemas of bodies are made later, at the first request
    warnings.filterwarnings("ignore", category=UnsupportedFieldAttributeWarning)

    counted = Counted(lambda level, event: metrics.counter(LOG_EVENTS, level, event).add())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        return_large_blocks()
        logging.getLogger().addHandler(counted)
        services = await run_in_threadpool(Services.open, settings, member, metrics, tracing)
        app.state.services = services
        app.state.ledger = Ledger(services.store)
        sampling = None if series is None else asyncio.create_task(_keep_sampled(metrics))
        try:
            yield
        finally:
            if sampling is not None:
                sampling.cancel()
            await run_in_threadpool(services.close)
            if tracing is not None:
                await run_in_threadpool(tracing.close)
            logging.getLogger().removeHandler(counted)

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
    app.state.answered = Answered(metrics)
    app.router.routes += [LateRoutes(prefix, modules) for prefix, modules in RESOURCES.items()]
    app.router.routes += [*system.router.routes, Page()]
    docs_page.install(app)
    _check_root_path(settings.root_path, app.router.routes)
    # The last one added is the first to see a request.
    app.add_middleware(Head)
    app.add_middleware(Gate, settings=settings)
    app.add_middleware(RequestLog, answered=app.state.answered)
    if tracing is not None:
        app.add_middleware(Traces, tracing=tracing)
    if settings.allowed_origins:
        app.add_middleware(Cors, settings=settings)
    if settings.root_path or settings.trusted_proxies:
        app.add_middleware(Forwarded, settings=settings)
    return app


def _check_root_path(root: str, routes: Sequence[BaseRoute]) -> None:
    """Refuse to put the service below a path that its own begin with: requests come with it and without it.

    Raises:
        SettingsError: they do.
    """
    for route in routes:
        path = route.prefix if isinstance(route, LateRoutes) else getattr(route, "path", PAGE_FILES)
        if root and f"{path}/".startswith(f"{root}/"):
            raise SettingsError(
                f"{variable('root_path')}: paths of the service itself begin with {root}, such as {path}; name another"
            )


async def _keep_sampled(metrics: Metrics) -> None:
    """Let other processes see what there is here, until this is cancelled."""
    while True:
        metrics.sample()
        await asyncio.sleep(_SAMPLED_SECONDS)
