"""How a route reads its request, strict JSON of bounded size and parameters that it has, and writes its answer."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any, TypeVar, get_args, get_origin

from fastapi import params
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from app.errors import MOST_FIELDS, FieldError, Invalid, Unsupported
from app.keys.callers import caller_of
from app.scopes import ADMIN, READ, WRITE
from app.services import Services
from app.serving.room import Room
from app.store.answers import AnsweredMeanwhile
from app.web.bodies import idempotency
from app.web.bodies.arguments import Arguments
from app.web.bodies.json import parse
from app.web.bodies.limits import ignore, make_sense, next_piece, off_the_loop, read_body
from app.web.bodies.needs import SAFE_METHODS, check, needed
from app.web.bodies.scopes import path_of, received
from app.web.bodies.validation import invalid, validate
from app.web.bodies.whole import Whole

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

_FREE_BYTES = 64 * 1024
"""Of a JSON body: as much is read of any before anybody asks for it, and small calls do not wait for large ones."""

IS_HEAD = "convserve.head"
"""The key in a scope that says that the request was HEAD before `app.web.middleware.head` had it routed as GET."""

MADE = "convserve.made"
"""The key in a scope of the address of what a request has made; None where it made nothing that has one."""


def polled(endpoint: F) -> F:
    """Mark a call that is made again and again by who waits for something: answers that are no error are not news."""
    endpoint.is_polled = True  # type: ignore[attr-defined]
    return endpoint


def media_type(request: Request) -> str:
    """Return the request's media type in lower case and without parameters, empty when it has none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def is_json(kind: str) -> bool:
    """Tell whether a media type means JSON."""
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


@lru_cache(256)
def _name(key: str) -> bytes:
    """Return the name of a header as requests have it; what is asked for is always the same."""
    return key.lower().encode("latin-1")


class _Headers(Headers):
    """Headers that are found in one step: Starlette looks at each of them, and much that is asked for is not there."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(raw=scope["headers"])
        self._first = received(scope)

    def get(self, key: str, default: Any = None) -> Any:
        """Return the first header of a name."""
        found = self._first.get(_name(key))
        return default if found is None else found.decode("latin-1")


class StrictRequest(Request):
    """A request whose body is read by our own reader and parser."""

    _read_headers: Headers | None = None
    query_names: frozenset[str] = frozenset()
    """The query parameters that its route has."""
    room: Room | None = None
    """What its body holds, as long as it is not answered."""

    @property
    def headers(self) -> Headers:
        """The headers."""
        if self._read_headers is None:
            self._read_headers = _Headers(self.scope)
        return self._read_headers

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """Read the body piece by piece; every reader of bodies does so here.

        Raises:
            Unsupported: it is compressed, or encoded in another way.
            ClientDisconnect: the caller has gone.
        """
        while True:
            if piece := await next_piece(self):
                yield piece
            if self._stream_consumed:
                return

    async def body(self) -> bytes:
        """Read the body once, at most `max_body_bytes` of it."""
        if not hasattr(self, "_body"):
            services: Services = self.app.state.services
            self.room = services.bodies.room(_FREE_BYTES)
            self._body = await read_body(self, services.settings.max_body_bytes, self.room.hold)
        return self._body

    async def json(self) -> Any:
        """Return the body parsed; see `app.web.bodies.json`."""
        return await self.document()

    async def document(self) -> Any:
        """Parse the body once; see `app.web.bodies.json`."""
        if not hasattr(self, "_document"):
            body = await self.body()
            hold = ignore if self.room is None else self.room.hold
            self._document = await make_sense(body, hold, lambda: parse(body))
        return self._document

    async def validated(self, kind: Any) -> Any:
        """Return the body as an object of a kind.

        Raises:
            Invalid: it is not of this kind.
        """
        document = await self.document()
        return await off_the_loop(len(await self.body()), lambda: validate(kind, document))


class StrictRoute(APIRoute):
    """A route that refuses what others silently ignore or accept, and calls its function without detours.

    FastAPI says what the parameters and the answer of the function are; that is made use of once, when the route is
    made.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.body_field
        self._arguments = Arguments(self.dependant)
        self._waits = inspect.iscoroutinefunction(self.endpoint)
        self._body_kind = field.field_info.annotation if field is not None else None
        self._query = {
            name: _is_list(annotation) for name, annotation in self._arguments.names(params.Query).items()
        }
        self._query_names = frozenset(self._query)
        self._takes_key = idempotency.HEADER in self._arguments.names(params.Header)
        methods = self.methods or set()
        self.needs = needed(self.endpoint, methods)
        """The scope that a key needs for it; None where any will do."""
        self.changes = self.needs in (WRITE, ADMIN) and not methods <= SAFE_METHODS
        """Whether it is there to make, change or delete something."""
        self.gives_files = methods == {"GET"} and self.needs == READ and _is_file(self)
        """Whether its answers are, or can be, what programs take that send no header: pictures, events, downloads."""
        self.is_polled: bool = getattr(self.endpoint, "is_polled", False)
        self.app = self._answer

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        check(scope, self.needs)
        if scope.get(IS_HEAD):
            # What sends files then does not read them.
            scope["method"] = "HEAD"
        request = StrictRequest(scope, receive, send)
        try:
            request.query_names = self._query_names
            if scope["query_string"]:
                _refuse_unknown(request, self._query)
            if self._body_kind is not None and await request.body():
                if not is_json(media_type(request)):
                    raise not_json(request)
                # Before an idempotency key is looked at: what is no JSON was never asked.
                await request.document()
            key = request.headers.get(idempotency.HEADER) if self._takes_key else None
            response = await (self._respond(request) if key is None else _once(request, key, self._respond))
            if self.changes:
                scope[MADE] = response.headers.get("location")
            await response(scope, receive, send)
        finally:
            if request.room is not None:
                request.room.release()

    async def _respond(self, request: StrictRequest) -> Response:
        """Call the function with what the request says, and make a response of what it returns."""
        body = None
        if self._body_kind is not None and await request.body():
            body = await request.validated(self._body_kind)
        read = await self._arguments.read(request, body)
        if read.errors:
            raise invalid(read.errors, body, self._body_kind)
        if self._waits:
            return self._written(await self.endpoint(**read.values), read.response)
        return await run_in_threadpool(lambda: self._written(self.endpoint(**read.values), read.response))

    def _written(self, answer: Any, begun: Response | None) -> Response:
        """Write what the function returned as the type of the route's answers.

        Args:
            answer: such an object; or a response, which stays as it is.
            begun: what the function has said of the answer's status and headers.
        """
        if isinstance(answer, Response):
            return answer
        field, status = self.response_field, self.status_code or HTTPStatus.OK
        response: Response
        if field is not None:
            if type(answer) is not self.response_model:
                answer, errors = field.validate(answer, {}, loc=("response",))
                if errors:
                    raise TypeError(f"{self.endpoint.__qualname__} did not return what it answers: {errors}")
            response = Whole(field.serialize_json(answer), status=status)
        elif answer is not None:
            raise TypeError(f"{self.endpoint.__qualname__} returned what nothing says how to write")
        else:
            response = Response(b"", status)
        if begun is not None:
            response.status_code = begun.status_code or response.status_code
            response.raw_headers += begun.raw_headers
        return response


async def _once(
    request: StrictRequest, key: str, handle: Callable[[StrictRequest], Coroutine[Any, Any, Response]]
) -> Response:
    """Handle a call with an idempotency key, or give the answer that it has got before.

    What JSON asks is known here; what files ask, to their receiver, once they have arrived.
    """
    ledger: idempotency.Ledger = request.app.state.ledger
    caller = caller_of(request.scope)
    key_id = None if caller is None else caller.key_id
    async with ledger.claim(f"{request.method} {path_of(request.scope)}", key, key_id) as claim:
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


def _is_file(route: APIRoute) -> bool:
    """Tell whether a route says that an answer of its can be something else than JSON."""
    described = route.responses.get(HTTPStatus.OK, {}).get("content", {})
    kinds = {getattr(route.response_class, "media_type", None), *described}
    return not kinds <= {None, JSONResponse.media_type}


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is list or any(map(_is_list, get_args(annotation)))


def not_json(request: Request) -> Unsupported:
    """Make the error for a body that should have been JSON."""
    kind = media_type(request)
    detail = f"the body must be JSON, not {kind}" if kind else "this header is missing"
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
