"""Who may call: who has a key, and no foreign web page behind its reader's back."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable

from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import FieldError
from app.keys.callers import ANYBODY, CALLER, Caller
from app.keys.ring import Expired
from app.keys.signed import PARAMETER, Unsigned
from app.keys.turns import TURN, Turns
from app.services import Services
from app.settings import Settings
from app.web.answers.problems import ProblemResponse, problem_response
from app.web.bodies.needs import SAFE_METHODS
from app.web.bodies.scopes import path_of, received
from app.web.middleware.origins import Origins

OPEN_PATHS = frozenset({"/livez", "/readyz", "/v2/health/live", "/v2/health/ready"})
"""For probes: under any name and without a key."""
PAGE_FILES = "/page/"

_RETRY_SECONDS = 1


class Gate:
    """ASGI middleware that answers instead of the application where a request must not pass.

    One that passes has its caller in its scope (`app.keys.callers`); what the caller may do is asked by the route
    (`app.web.bodies.needs`).
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self._origins = Origins(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path, is_safe = path_of(scope), scope["method"] in SAFE_METHODS
        if is_safe and path in OPEN_PATHS:
            await self.app(scope, receive, send)
            return
        headers = received(scope)
        services: Services = scope["app"].state.services
        fault = "the key is missing, or is none of the server's"
        caller: Caller | None = None
        try:
            signed = None
            if scope["query_string"] and is_safe:
                signed = await services.signer.caller(path, scope["query_string"])
            if signed is not None:
                caller, scope["query_string"] = signed
            else:
                caller = await services.keyring.caller(_presented_key(headers.get(b"authorization")))
        except Expired as error:
            fault = str(error)
        except Unsigned as error:
            await _badly_signed(str(error))(scope, receive, send)
            return
        if caller is not None:
            scope[CALLER] = caller
        foreign = self._origins.refusal(scope, headers, needs_key=caller is not ANYBODY)
        if foreign is not None:
            await foreign(scope, receive, send)
        elif caller is not None:
            await self._admitted(services.turns, caller, scope, receive, send)
        elif is_safe and is_of_page(path):  # it is there to ask for the key
            await self.app(scope, receive, send)
        else:
            await _unauthorized(fault)(scope, receive, send)

    def _admitted(
        self, turns: Turns | None, caller: Caller, scope: Scope, receive: Receive, send: Send
    ) -> Awaitable[None]:
        if turns is None or caller.name is None:
            return self.app(scope, receive, send)
        return self._answer_in_turn(turns, caller.name, scope, receive, send)

    async def _answer_in_turn(
        self, turns: Turns, key: str, scope: Scope, receive: Receive, send: Send
    ) -> None:
        turn = turns.take(key)
        if turn is None:
            await _too_many(turns.most)(scope, receive, send)
            return
        scope[TURN] = turn
        try:
            await self.app(scope, receive, send)
        finally:
            turn.leave()


def is_of_page(path: str) -> bool:
    """Tell whether a path, below where the service is mounted, is one of the web page's own."""
    return path in ("", "/") or path.startswith(PAGE_FILES)


def _unauthorized(fault: str) -> ProblemResponse:
    refusal = problem_response(
        401,
        "unauthorized",
        "this server answers only to callers that present one of its API keys",
        errors=(
            FieldError(
                parameter="Authorization",
                detail=fault,
                hint="send `Authorization: Bearer <key>`; in a browser, the key as the password",
            ),
        ),
    )
    # a line for each: Chromium takes two in one line for one scheme that it does not know
    for challenge in ('Basic realm="convserve", charset="UTF-8"', "Bearer"):
        refusal.headers.append("WWW-Authenticate", challenge)
    return refusal


def _badly_signed(fault: str) -> ProblemResponse:
    # 401 would have browsers ask people who look at a picture for a password
    return problem_response(
        403,
        "signed-address",
        f"this address cannot be read by its signature: {fault}",
        errors=(
            FieldError(
                parameter=PARAMETER, detail=fault, hint="have it signed anew by POST /v1/signed-addresses"
            ),
        ),
    )


def _too_many(most: int) -> ProblemResponse:
    return problem_response(
        429,
        "too-many-requests",
        f"{most} requests with this key are being answered here, and no more may be at once; wait for one of them",
        numbers={"limit": most},
        headers={"Retry-After": str(_RETRY_SECONDS)},
    )


def _presented_key(authorization: bytes | None) -> bytes:
    """Read the key out of an Authorization header, empty when there is none."""
    if authorization is None:
        return b""
    scheme, _, value = authorization.partition(b" ")
    value = value.strip()
    if scheme.lower() == b"bearer":
        return value
    if scheme.lower() == b"basic":
        try:
            _, _, password = base64.b64decode(value, validate=True).partition(b":")
        except (binascii.Error, ValueError):
            return b""
        return password
    return b""
