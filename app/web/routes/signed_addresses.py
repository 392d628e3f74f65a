"""Addresses that need no key, for what can send none."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import unquote

from fastapi import APIRouter, Body, Request, Response
from starlette.concurrency import run_in_threadpool

from app.api.requests.signed_addresses import SignedAddressRequest
from app.api.signed_addresses import SignedAddress
from app.errors import Invalid
from app.keys.callers import ANYBODY, caller_of
from app.keys.signed import PARAMETER
from app.scopes import READ
from app.services import ServicesDep
from app.web.bodies.needs import needs
from app.web.bodies.route import StrictRoute
from app.web.openapi import problems

router = APIRouter(prefix="/v1/signed-addresses", route_class=StrictRoute, tags=["keys"])


@router.post("", summary="Sign an address", responses=problems(400, 413, 415, 422))
@needs(READ)
async def sign_address(
    body: Annotated[
        SignedAddressRequest,
        Body(openapi_examples={"events": {"value": {"path": "/v1/events", "seconds": 300}}}),
    ],
    request: Request,
    services: ServicesDep,
    response: Response,
) -> SignedAddress:
    """Return an address that can be read for a while without a key: by `EventSource`, `<img>` or a link.

    It can be that of events, of a picture or of a download: of each call by GET whose answer can be something else
    than JSON. It opens that path with that query for GET and HEAD, and what a key with the scope `read` may see there.
    It ends with its time, and with the key that it was made with. Whoever has the address can use it: give it to
    nobody else.
    """
    path, _, query = body.path.partition("?")
    if PARAMETER in (part.partition("=")[0] for part in query.split("&")):
        raise Invalid.at("path", "it is signed already", f"leave the parameter {PARAMETER} out")
    route, _ = await request.app.find(unquote(path), "GET")
    if not getattr(route, "gives_files", False):
        detail = "it gives no events, picture or download" if route is not None else "there is nothing by GET"
        raise Invalid.at("path", detail, "sign what can send no key, and ask for all else with the key")
    await run_in_threadpool(services.signer.prepare)
    until = int(time.time()) + body.seconds
    signed = services.signer.sign(caller_of(request.scope) or ANYBODY, unquote(path), query, until)
    response.headers["Cache-Control"] = "no-store"
    return SignedAddress(address=f"{path}?{signed}", expires_at=datetime.fromtimestamp(until, UTC))
