"""How a route reads its request: strict JSON of bounded size, and no parameter that it does not know."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from typing import Any, TypeVar, get_args, get_origin

from fastapi import params
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.errors import MOST_FIELDS, FieldError, Invalid, Unsupported
from app.settings import Settings
from app.store.answers import AnsweredMeanwhile
from app.web.bodies import idempotency
from app.web.bodies.json import parse
from app.web.bodies.limits import off_the_loop, read_body
from app.web.bodies.validation import invalid, validate

T = TypeVar("T")

IS_HEAD = "convserve.head"
"""The key in a scope that says that the request was HEAD before `app.web.middleware.head` had it routed as GET."""


def media_type(request: Request) -> str:
    """Return the request's media type in lower case and without parameters, empty when it has none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def is_json(kind: str) -> bool:
    """Tell whether a media type means JSON."""
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


class StrictRequest(Request):
    """A request whose body is read by our own reader and parser."""

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """Read the body piece by piece; every reader of bodies does so here.

        Raises:
            Unsupported: it is compressed, or encoded in another way.
        """
        encoding = self.headers.get("content-encoding", "identity")
        if encoding.strip().lower() != "identity":
            hint = "send the body as it is, without this header"
            raise Unsupported.at("Content-Encoding", f"{encoding} is not taken", hint, parameter=True)
        async for chunk in super().stream():
            yield chunk

    async def body(self) -> bytes:
        """Read the body once, at most `max_body_bytes` of it."""
        if not hasattr(self, "_body"):
            settings: Settings = self.app.state.settings
            self._body = await read_body(self, settings.max_body_bytes)
        return self._body

    async def json(self) -> Any:
        """Return the body parsed, or as what `validated` made of it: pydantic lets that pass as it is."""
        if not hasattr(self, "_json"):
            self._json = await self.document()
        return self._json

    async def document(self) -> Any:
        """Parse the body once; see `app.web.bodies.json`."""
        if not hasattr(self, "_document"):
            body = await self.body()
            self._document = await off_the_loop(len(body), lambda: parse(body))
        return self._document

    async def validated(self, kind: Any) -> None:
        """Validate the body before FastAPI would: that does so on the event loop, whatever the size.

        Raises:
            Invalid: it is not of this kind.
        """
        document = await self.document()
        self._json = await off_the_loop(len(await self.body()), lambda: validate(kind, document))


class StrictRoute(APIRoute):
    """A route that refuses what others silently ignore or accept."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler of this route."""
        handle_valid = super().get_route_handler()
        field = self.body_field
        takes_json = field is not None and not isinstance(field.field_info, params.Form)
        body_kind = field.field_info.annotation if field is not None else None
        known = _query_names(self.dependant)
        names = frozenset(known)
        takes_key = idempotency.HEADER in _header_names(self.dependant)

        async def handle(request: StrictRequest) -> Response:
            if takes_json and await request.body():
                await request.validated(body_kind)
            return await handle_valid(request)

        async def strict(request: Request) -> Response:
            if request.scope.get(IS_HEAD):
                # What sends files then does not read them.
                request.scope["method"] = "HEAD"
            request = StrictRequest(request.scope, request.receive)
            request.state.query_names = names
            if request.scope["query_string"]:
                _refuse_unknown(request, known)
            if takes_json and await request.body():
                if not is_json(media_type(request)):
                    raise not_json(request)
                # Now, because of what goes wrong later FastAPI says no more than that it went wrong.
                await request.document()
            try:
                key = request.headers.get(idempotency.HEADER) if takes_key else None
                return await (handle(request) if key is None else _once(request, key, handle))
            except RequestValidationError as error:
                raise invalid(error.errors(), error.body, body_kind) from None

        return strict


async def _once(
    request: StrictRequest, key: str, handle: Callable[[StrictRequest], Coroutine[Any, Any, Response]]
) -> Response:
    """Handle a call with an idempotency key, or give the answer that it has got before.

    What JSON asks is known here; what files ask, to their receiver, once they have arrived.
    """
    ledger: idempotency.Ledger = request.app.state.ledger
    async with ledger.claim(f"{request.method} {request.url.path}", key) as claim:
        request.state.claim = claim
        try:
            if is_json(media_type(request)):
                idempotency.settle(request, await request.document())
            try:
                return await handle(request)
            except AnsweredMeanwhile as other:
                claim.earlier = other.answer
                claim.settle(claim.fingerprint)
                raise
        except idempotency.Answered as again:
            headers = {**again.answer.headers, idempotency.REPLAYED: "true"}
            return JSONResponse(again.answer.body, again.answer.status, headers)


async def read_document(request: Request, kind: type[T]) -> T:
    """Read a JSON body where the route itself chooses between JSON and other forms.

    Raises:
        Malformed, Invalid, TooLarge: as `app.web.bodies.json` and `validate` do.
    """
    document = await request.json()
    return await off_the_loop(len(await request.body()), lambda: validate(kind, document))


def _query_names(dependant: Dependant) -> dict[str, bool]:
    """Return the names of query parameters, and of each whether it may be given several times."""
    names = {
        parameter.alias: _is_list(parameter.field_info.annotation) for parameter in dependant.query_params
    }
    for inner in dependant.dependencies:
        names |= _query_names(inner)
    return names


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is list or any(map(_is_list, get_args(annotation)))


def _header_names(dependant: Dependant) -> set[str]:
    names = {parameter.alias for parameter in dependant.header_params}
    return names.union(*(_header_names(inner) for inner in dependant.dependencies))


def not_json(request: Request) -> Unsupported:
    """Make the error for a body that should have been JSON."""
    received = media_type(request)
    detail = f"the body must be JSON, not {received}" if received else "this header is missing"
    return Unsupported.at("Content-Type", detail, "send `Content-Type: application/json`", parameter=True)


def _refuse_unknown(request: Request, known: Mapping[str, bool]) -> None:
    """Refuse query parameters that there are not, and several values where one is taken."""
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        listed = ", ".join(sorted(known)) or "none"
        detail, hint = "this call has no such query parameter", f"it takes {listed}"
        shown = unknown[:MOST_FIELDS]
        raise Invalid.listing([FieldError.at(name, detail, hint, parameter=True) for name in shown])
    counts = Counter(name for name, _ in request.query_params.multi_items() if not known[name])
    for name, count in counts.items():
        if count > 1:
            raise Invalid.at(name, f"it is given {count} times", "give it once", parameter=True)
