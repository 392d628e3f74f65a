"""The one form of errors, RFC 9457 problem+json, and the one table from error to status."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, TypeVar

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from app.errors import (
    Conflict,
    DomainError,
    FieldError,
    Forbidden,
    Invalid,
    Malformed,
    NotFound,
    NotInstalled,
    StorageFault,
    StorageFull,
    TooLarge,
    Unavailable,
    Unsupported,
)
from app.files.faults import reason, storage_fault
from app.log import Log
from app.web.bodies.scopes import path_of
from engine.errors import EngineError, GraphError, LimitError, ModelFileError, NonFiniteError, ShapeError

log = Log(__name__)

STATUS: Mapping[type[Exception], int] = {
    Malformed: 400,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    TooLarge: 413,
    Unsupported: 415,
    Invalid: 422,
    EngineError: 422,
    # Files that the engine reads here are our own: a damaged one is no fault of the caller.
    ModelFileError: 500,
    DomainError: 500,
    NotInstalled: 501,
    Unavailable: 503,
    StorageFull: 507,
}

ENGINE_CODES: Mapping[type[EngineError], str] = {
    ShapeError: "shape-mismatch",
    GraphError: "invalid-graph",
    LimitError: "limit-exceeded",
    ModelFileError: "damaged-model-file",
    NonFiniteError: "non-finite",
    EngineError: "invalid",
}

RETRY_SECONDS = 5
STOPPING = "this server is about to stop; send the request again once it is back"
_TYPES = "/problems/"

INFERENCE_PROTOCOL = "/v2"
"""Where the Open Inference Protocol is spoken."""
OUTCOME = "convserve.outcome"
"""Where in the scope of a request it is noted how it ended, in a dictionary."""
_OF_BODIES = (b"content-type", b"content-length")

V = TypeVar("V")


class ProblemResponse(JSONResponse):
    """An answer in the form of RFC 9457; below `/v2` in that of the Open Inference Protocol, which its clients read."""

    media_type = "application/problem+json"

    def __init__(
        self, content: dict[str, Any], status_code: int, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(content, status_code, headers=headers)
        self.code: str = content["type"].removeprefix(_TYPES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it in the form that belongs to the path of the request."""
        if (outcome := scope.get(OUTCOME)) is not None:
            outcome["problem"] = self.code
        if _is_inference_protocol(scope):
            body = json.loads(bytes(self.body))
            hints = [fault["hint"] for fault in body.get("errors", ()) if "hint" in fault]
            message = "; ".join([body["detail"], *hints[:1]])
            answer = JSONResponse({"error": message}, self.status_code)
            kept = [header for header in self.raw_headers if header[0] not in _OF_BODIES]
            answer.raw_headers += kept
            await answer(scope, receive, send)
            return
        await super().__call__(scope, receive, send)


def _is_inference_protocol(scope: Scope) -> bool:
    path = path_of(scope)
    return path == INFERENCE_PROTOCOL or path.startswith(f"{INFERENCE_PROTOCOL}/")


def problem(
    status: int,
    code: str,
    detail: str,
    errors: Iterable[FieldError] = (),
    numbers: Mapping[str, int | None] | None = None,
) -> dict[str, Any]:
    """Write the body of a problem; absent members are left out."""
    body: dict[str, Any] = {
        "type": f"{_TYPES}{code}",
        "title": code.replace("-", " ").capitalize(),
        "status": status,
        "detail": detail,
    }
    fields = [
        {
            name: value
            for name in ("pointer", "parameter", "detail", "hint")
            if (value := getattr(field, name)) is not None
        }
        for field in errors
    ]
    if fields:
        body["errors"] = fields
    if numbers is not None:
        body["numbers"] = dict(numbers)
    return body


def problem_response(
    status: int,
    code: str,
    detail: str,
    *,
    errors: Iterable[FieldError] = (),
    numbers: Mapping[str, int | None] | None = None,
    headers: Mapping[str, str] | None = None,
) -> ProblemResponse:
    """Make the answer for a problem."""
    return ProblemResponse(problem(status, code, detail, errors, numbers), status, headers=headers)


def respond(error: DomainError | EngineError) -> ProblemResponse:
    """Make the answer for an error of the service or of the engine."""
    status = _nearest(STATUS, error)
    passes = status == HTTPStatus.SERVICE_UNAVAILABLE or isinstance(error, StorageFault)
    headers = {"Retry-After": str(RETRY_SECONDS)} if passes else None
    if isinstance(error, DomainError):
        return problem_response(
            status, error.code, error.detail, errors=error.errors, numbers=error.numbers, headers=headers
        )
    field = FieldError.at(error.path, error.detail, error.hint)
    place = f"{field.place}: " if field.place else ""
    return problem_response(
        status, _nearest(ENGINE_CODES, error), place + error.detail, errors=(field,), headers=headers
    )


def _nearest(table: Mapping[type[Any], V], error: Exception) -> V:
    return next(table[kind] for kind in type(error).__mro__ if kind in table)


def explain(error: Exception, scope: Scope) -> ProblemResponse | None:
    """Make the answer for whatever a request ended with, `None` for an error that nobody expected.

    Args:
        error: what was raised.
        scope: of the request.
    """
    fault = storage_fault(error)
    if fault is not None:
        log.warning("storage_fault", path=path_of(scope), code=fault.code, error=reason(error))
        return respond(fault)
    if isinstance(error, DomainError | EngineError):
        answer = respond(error)
        if answer.status_code == HTTPStatus.INTERNAL_SERVER_ERROR:
            log.error("request_failed", code=type(error).__name__, detail=error.detail)
        return answer
    if isinstance(error, HTTPException):
        return _of_http(error, scope)
    return None


def _of_http(error: HTTPException, scope: Scope) -> ProblemResponse:
    """Make the answer where no route is for a request."""
    detail, headers = error.detail, error.headers
    if error.status_code == HTTPStatus.NOT_FOUND:
        lists = "the Open Inference Protocol" if _is_inference_protocol(scope) else "/docs"
        detail = f"there is nothing at {scope['path']}; {lists} lists what there is"
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (headers or {}).get("Allow", "")
        detail = f"{scope['method']} is not possible here; {allowed or 'another method'} is"
        methods = allowed.split(", ")
        if "GET" in methods and "HEAD" not in methods:
            headers = {"Allow": f"{allowed}, HEAD"}
    code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-").replace("'", "")
    return problem_response(error.status_code, code, detail, headers=headers)
