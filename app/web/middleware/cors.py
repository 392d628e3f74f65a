"""What browsers are told about pages of other origins (https://fetch.spec.whatwg.org/#http-cors-protocol)."""

from __future__ import annotations

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from app.settings import Settings

_PREFLIGHT_SECONDS = 3600


class Cors(CORSMiddleware):
    """ASGI middleware: pages of the origins that the operator allows may call, and read answers.

    They present the key by themselves, in `Authorization`; cookies and passwords that a browser knows are never asked
    for. So every header may be sent and read.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        super().__init__(
            app,
            allow_origins=settings.allowed_origins,
            allow_methods=("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"),
            allow_headers=("*",),
            allow_private_network=True,
            expose_headers=("*",),
            max_age=_PREFLIGHT_SECONDS,
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """Answer what a browser asks before it sends a request for a page; that needs no key, and is no answer."""
        answer = super().preflight_response(request_headers)
        headers = {name: value for name, value in answer.headers.items() if not name.startswith("content-")}
        headers["X-Content-Type-Options"] = "nosniff"
        refused = answer.status_code != HTTPStatus.OK
        return Response(
            status_code=HTTPStatus.FORBIDDEN if refused else HTTPStatus.NO_CONTENT, headers=headers
        )
