"""The one form of errors, RFC 9457 problem+json, and the one table from error to status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from app.errors import (
    Conflict,
    DomainError,
    FieldError,
    Invalid,
    Malformed,
    NotFound,
    StorageFull,
    TooLarge,
    Unavailable,
    Unsupported,
)
from app.log import Log
from app.web.bodies.validation import field_errors
from engine.errors import EngineError, GraphError, LimitError, ModelFileError, NonFiniteError, ShapeError

log = Log(__name__)

STATUS: Mapping[type[Exception], int] = {
    Malformed: 400,
    NotFound: 404,
    Conflict: 409,
    TooLarge: 413,
    Unsupported: 415,
    Invalid: 422,
    EngineError: 422,
    # Files that the engine reads here are our own: a damaged one is no fault of the caller.
    ModelFileError: 500,
    DomainError: 500,
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

V = TypeVar("V")


class ProblemResponse(JSONResponse):
    """An answer in the form of RFC 9457."""

    media_type = "application/problem+json"


def problem(
    status: int,
    code: str,
    detail: str,
    errors: Iterable[FieldError] = (),
    numbers: Mapping[str, int | None] | None = None,
) -> dict[str, Any]:
    """Write the body of a problem; absent members are left out."""
    body: dict[str, Any] = {
        "type": f"/problems/{code}",
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
    headers = {"Retry-After": str(RETRY_SECONDS)} if status == HTTPStatus.SERVICE_UNAVAILABLE else None
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


def install(app: FastAPI) -> None:
    """Make every error that reaches the application an answer of this form."""

    async def explained(_: Request, error: Any) -> ProblemResponse:
        answer = respond(error)
        if answer.status_code == HTTPStatus.INTERNAL_SERVER_ERROR:
            log.error("request_failed", code=type(error).__name__, detail=error.detail)
        return answer

    async def invalid(_: Request, error: Any) -> ProblemResponse:
        return respond(Invalid.listing(field_errors(error.errors(), error.body)))

    async def http(request: Request, error: Any) -> ProblemResponse:
        detail, headers = error.detail, error.headers
        if error.status_code == HTTPStatus.NOT_FOUND:
            detail = f"there is nothing at {request.url.path}; /docs lists what there is"
        elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = (headers or {}).get("Allow", "")
            detail = f"{request.method} is not possible here; {allowed or 'another method'} is"
            if "GET" in allowed.split(", "):
                headers = {"Allow": f"{allowed}, HEAD"}
        code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-").replace("'", "")
        return problem_response(error.status_code, code, detail, headers=headers)

    app.add_exception_handler(DomainError, explained)
    app.add_exception_handler(EngineError, explained)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
