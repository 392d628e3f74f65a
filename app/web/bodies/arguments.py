"""What a route's function is called with: worked out when the route is made, and only read with each request.

FastAPI describes the parameters of a function and of its dependencies, and validates what is given for them. Which of
them a request can give at all does not change from one request to the next.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import params
from fastapi._compat import ModelField, get_missing_field_error
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_validation_alias, request_params_to_args
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from app.services import services_of
from app.web.bodies.scopes import received

_NEVER = (
    "cookie_params",
    "background_tasks_param_name",
    "websocket_param_name",
    "http_connection_param_name",
    "security_scopes_param_name",
    "concurrency",
)
"""What FastAPI can give to a function, and no call of ours takes."""

_FAILED = object()
"""In place of what a dependency would have returned, had its own arguments been right."""

_IMMUTABLE = (str, int, float, bool, type(None))


@dataclass(slots=True)
class Read:
    """What was read from one request.

    Attributes:
        values: by the names of the function's parameters.
        errors: what is wrong with them, as pydantic lists it; the values are then not complete.
        response: takes the status and the headers that a function adds to its answer, if one asks for it.
    """

    values: dict[str, Any]
    errors: list[Any]
    response: Response | None


class Arguments:
    """Reads the arguments of one function.

    Args:
        dependant: the function, as FastAPI describes it.

    Raises:
        TypeError: it, or what it depends on, takes what is not read here.
    """

    def __init__(self, dependant: Dependant) -> None:
        self._functions: list[_Function] = []
        self._places: dict[Callable[..., Any], int] = {}
        self._add(dependant)
        *self._dependencies, self._function = self._functions
        self._with_response = any(function.response for function in self._functions)

    def names(self, part: type[params.Param]) -> dict[str, Any]:
        """Return the names of parameters of a part of requests, such as `params.Query`, with their types."""
        return {
            get_validation_alias(field): field.field_info.annotation
            for function in self._functions
            for field in function.fields
            if isinstance(field.field_info, part)
        }

    async def read(self, request: Request, body: Any) -> Read:
        """Read them, and call the dependencies on the way.

        Args:
            request: gives them.
            body: what its body is, validated; `None` for none.
        """
        errors: list[Any] = []
        response = _blank() if self._with_response else None
        results: list[Any] = []
        for dependency in self._dependencies:
            values = dependency.values(request, results, body, response, errors)
            if values is None:
                results.append(_FAILED)
            elif dependency.waits:
                results.append(await dependency.call(**values))
            else:
                results.append(await run_in_threadpool(dependency.call, **values))
        own = self._function.values(request, results, body, response, errors)
        return Read(own or {}, errors, response)

    def _add(self, dependant: Dependant) -> int:
        """Add a function behind all that it depends on, and return its place."""
        call = dependant.call
        if call is None:
            raise TypeError("there is no function to read arguments for")
        if dependant.use_cache and call in self._places:
            return self._places[call]
        needs = {
            inner.name: place
            for inner in dependant.dependencies
            if inner.call is not services_of and (place := self._add(inner)) >= 0 and inner.name
        }
        self._functions.append(_Function.of(call, dependant, needs))
        return self._places.setdefault(call, len(self._functions) - 1)


@dataclass(frozen=True, slots=True)
class _Options:
    """Parameters in the query or in headers.

    Attributes:
        fields: the parameters.
        headers: the names of the headers; empty for the query.
        defaults: what they are where none of them is given, if that is always the same.
    """

    fields: Sequence[ModelField]
    headers: frozenset[bytes]
    defaults: Mapping[str, Any] | None

    @classmethod
    def of(cls, fields: Sequence[ModelField], *, headers: bool) -> Iterator[_Options]:
        """Yield parameters of one kind, if there are any."""
        if fields:
            names = (get_validation_alias(field).lower().encode() for field in fields)
            yield cls(fields, frozenset(names) if headers else frozenset(), _defaults(fields))

    def read(self, request: Request, values: dict[str, Any], errors: list[Any]) -> None:
        """Add to what is given, and to what is wrong with it."""
        if self.defaults is not None and not self._given(request.scope):
            values |= self.defaults
            return
        given = request.headers if self.headers else request.query_params
        found, wrong = request_params_to_args(self.fields, given)
        values |= found
        errors += wrong

    def _given(self, scope: Scope) -> bool:
        if self.headers:
            return not self.headers.isdisjoint(received(scope))
        return bool(scope["query_string"])


@dataclass(frozen=True, slots=True)
class _Function:
    """A dependency, or the function itself.

    Attributes:
        call: the function.
        waits: whether it is to be awaited; others have a thread of their own.
        needs: parameters that are what a dependency returns, and the place of that.
        path: parameters in the path, each with its name there, and whether it may be any text.
        options: those in the query and in headers.
        body: the parameter that is the body.
        request: the parameter that is the request.
        services: the parameter that is the server.
        response: the parameter that is the answer to be.
    """

    call: Callable[..., Any]
    waits: bool
    needs: Mapping[str, int]
    path: Sequence[tuple[str, ModelField, bool]]
    options: Sequence[_Options]
    body: ModelField | None
    request: str | None
    services: str | None
    response: str | None

    @classmethod
    def of(cls, call: Callable[..., Any], dependant: Dependant, needs: Mapping[str, int]) -> _Function:
        """Read what FastAPI says of a function."""
        taken = [name for name in _NEVER if getattr(dependant, name)]
        if inspect.isgeneratorfunction(call) or inspect.isasyncgenfunction(call):
            taken.append("yield")
        if len(dependant.body_params) > 1 or any(
            isinstance(field.field_info, params.Form) for field in dependant.body_params
        ):
            taken.append("body_params")
        if taken:
            raise TypeError(f"{call.__qualname__} takes what is not read here: {', '.join(taken)}")
        return cls(
            call,
            inspect.iscoroutinefunction(call),
            needs,
            [(get_validation_alias(field), field, _is_text(field)) for field in dependant.path_params],
            [
                *_Options.of(dependant.query_params, headers=False),
                *_Options.of(dependant.header_params, headers=True),
            ],
            next(iter(dependant.body_params), None),
            dependant.request_param_name,
            next((inner.name for inner in dependant.dependencies if inner.call is services_of), None),
            dependant.response_param_name,
        )

    @property
    def fields(self) -> Iterator[ModelField]:
        """All that is read from the head of a request."""
        yield from (field for _, field, _ in self.path)
        for options in self.options:
            yield from options.fields

    def values(
        self,
        request: Request,
        results: Sequence[Any],
        body: Any,
        response: Response | None,
        errors: list[Any],
    ) -> dict[str, Any] | None:
        """Return what to call it with, `None` where that is wrong: `errors` then say what."""
        before = len(errors)
        values = {name: results[place] for name, place in self.needs.items()} if self.needs else {}
        failed = before > 0 and any(value is _FAILED for value in values.values())
        for alias, field, is_text in self.path:
            given = request.scope["path_params"][alias]
            if is_text:
                values[field.name] = given
                continue
            values[field.name], wrong = field.validate(given, {}, loc=("path", alias))
            errors += wrong
        for options in self.options:
            options.read(request, values, errors)
        if self.body is not None:
            if body is None and self.body.field_info.is_required():
                errors.append(get_missing_field_error(("body",)))
            values[self.body.name] = self.body.get_default() if body is None else body
        if self.request is not None:
            values[self.request] = request
        if self.services is not None:
            values[self.services] = services_of(request)
        if self.response is not None:
            values[self.response] = response
        return None if failed or len(errors) > before else values


def _is_text(field: ModelField) -> bool:
    return field.field_info.annotation is str and not field.field_info.metadata


def _defaults(fields: Sequence[ModelField]) -> dict[str, Any] | None:
    """Return what parameters are where none of them is given, `None` where that is not always the same and right."""
    known = {}
    for field in fields:
        info = field.field_info
        if info.is_required() or info.validate_default or not isinstance(info.default, _IMMUTABLE):
            return None
        known[field.name] = info.default
    return known


def _blank() -> Response:
    """Return an answer that says nothing yet."""
    response = Response()
    del response.headers["content-length"]
    response.status_code = None  # type: ignore[assignment]
    return response
