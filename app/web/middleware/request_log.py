"""Structured logs: one line for each request, with an id that the answer carries too."""

from __future__ import annotations

import os
import re
import time

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.log import Log, begin_request
from app.web.answers.problems import explain, problem_response
from app.web.middleware.gate import OPEN_PATHS
from app.web.middleware.headers import REQUEST_ID, complete, received

log = Log(__name__)

_ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_CLIENT_LEFT = 499


class RequestLog:
    """ASGI middleware: gives each request an id, answers what was raised on its way, and logs how it ended.

    A line holds neither query nor headers, where secrets can be.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        given = received(scope).get(REQUEST_ID, b"").decode("latin-1")
        request_id = given if _ACCEPTABLE_ID.fullmatch(given) else os.urandom(16).hex()
        status: int | None = None
        start = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                complete(message, path, request_id)
            await send(message)

        begin_request(request_id)
        try:
            await self.app(scope, receive, send_with_id)
        except ClientDisconnect:
            status = _CLIENT_LEFT
        except Exception as error:
            answer = None if status is not None else explain(error, scope)
            if answer is None:
                log.exception("unexpected_error", method=scope["method"], path=path)
                if status is not None:
                    # The answer has begun; breaking off is the only way left to say that it is not whole.
                    raise
                answer = problem_response(
                    500,
                    "internal-error",
                    f"something went wrong here, not in the request; the log has it under {request_id}",
                )
            await answer(scope, receive, send_with_id)
        finally:
            write = log.debug if path in OPEN_PATHS else log.info
            write(
                "request",
                method=scope["method"],
                path=path,
                status=status,
                milliseconds=round(1000 * (time.perf_counter() - start), 1),
            )
