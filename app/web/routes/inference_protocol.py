"""Inferences by the Open Inference Protocol (V2), and whether the server is ready for them."""

from __future__ import annotations

import time

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from app.models.prediction import Picture
from app.scopes import PREDICT
from app.services import ServicesDep
from app.web.answers.packed import packed
from app.web.bodies.limits import content_encoding, make_sense
from app.web.bodies.needs import needs
from app.web.bodies.packed import read_packed_body
from app.web.bodies.route import StrictRoute, polled
from app.web.bodies.whole import Whole
from app.web.inference_protocol import descriptions
from app.web.inference_protocol.answer import answered
from app.web.inference_protocol.references import Named
from app.web.inference_protocol.requests import Asked, header_length, read_request
from app.web.inference_protocol.tensors_in import read_pictures
from app.web.inference_protocol.tensors_out import HEADER_LENGTH_NAME
from app.web.routes import system

# The protocol has a description of its own, that of its authors; the OpenAPI document is about `/v1`.
router = APIRouter(prefix="/v2", route_class=StrictRoute, include_in_schema=False)


@router.post("/models/{name}/infer")
@router.post("/models/{name}/versions/{version}/infer")
@needs(PREDICT)
async def infer(name: str, model: Named, request: Request, services: ServicesDep) -> Response:
    """Answer an inference by a model of a name (the newest version), an id or an alias, or by one version."""
    serving, settings = services.serving, services.settings
    begun = time.perf_counter()
    try:
        encoding, most_bytes = content_encoding(request), settings.max_predict_bytes
        with serving.room() as arrived:
            json_bytes = header_length(request)
            body = await read_packed_body(request, encoding, most_bytes, arrived)

            def read() -> tuple[Asked, list[Picture]]:
                asked, behind = read_request(body, json_bytes)
                most = settings.max_predict_images
                return asked, read_pictures(asked.inputs, behind, model.input_shape, most)

            asked, pictures = await make_sense(body[:json_bytes], arrived, read)
            written = await answered(request, services, model, name, asked, pictures)
    except Exception:
        serving.statistics.failed(model.id, time.perf_counter() - begun)
        raise
    serving.statistics.answered(model.id, len(pictures), time.perf_counter() - begun)
    body, headers = await packed(request, written.body)
    if written.json_bytes is None:
        return Whole(body, headers=headers)
    # of the body before it was compressed
    headers.append((HEADER_LENGTH_NAME, b"%d" % written.json_bytes))
    return Whole(body, b"application/octet-stream", headers=headers)


@router.get("")
@router.get("/")
@needs(None)
async def describe_server() -> Response:
    """Describe the server."""
    return JSONResponse(descriptions.server())


@router.get("/health/live")
@needs(None)
@polled
async def live() -> Response:
    """Answer as long as the process answers at all. Needs no key."""
    return JSONResponse({"live": True})


@router.get("/health/ready")
@needs(None)
@polled
async def ready(services: ServicesDep) -> Response:
    """Answer 200 when the server can work, see `/readyz`; else 503. Needs no key."""
    await run_in_threadpool(system.readyz, services)
    return JSONResponse({"ready": True})
