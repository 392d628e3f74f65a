"""Functions of routes are called with what FastAPI would call them with, and answer as they would there."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from functools import cache
from types import SimpleNamespace
from typing import Annotated, Any, Literal

import httpx
import pytest
from fastapi import (
    BackgroundTasks,
    Body,
    Cookie,
    Depends,
    FastAPI,
    Form,
    Header,
    Path,
    Query,
    Request,
    Response,
)
from fastapi.routing import APIRoute
from pydantic import BaseModel

from app.errors import Invalid
from app.keys.callers import ANYBODY, CALLER
from app.serving.room import Bodies
from app.settings import Settings
from app.web.bodies.route import StrictRoute


class Sent(BaseModel):
    """A body."""

    name: str
    sizes: list[int] = [1]


class Seen(BaseModel):
    """What a function was called with."""

    values: dict[str, Any]


async def _base(request: Request) -> str:
    request.state.calls = getattr(request.state, "calls", 0) + 1
    return request.url.path


def _word(base: Annotated[str, Depends(_base)], word: Annotated[str, Query(max_length=5)] = "none") -> str:
    return f"{base} {word}"


def _function(
    number: Annotated[int, Path(ge=0)],
    word: Annotated[str, Depends(_word)],
    base: Annotated[str, Depends(_base)],
    request: Request,
    response: Response,
    most: Annotated[int, Query(ge=1)] = 3,
    share: float | None = None,
    kind: Literal["a", "b"] = "a",
    several: Annotated[list[int] | None, Query()] = None,
    short_name: Annotated[str | None, Header()] = None,
    etag: Annotated[str | None, Header(alias="If-None-Match")] = None,
    sent: Annotated[Sent | None, Body()] = None,
) -> Seen:
    response.headers["X-Most"] = str(most)
    if kind == "b":
        response.status_code = 202
    given = [number, word, base, most, share, kind, several, short_name, etag]
    body = None if sent is None else sent.model_dump()
    in_a_thread = threading.current_thread() is not threading.main_thread()
    return Seen(values={"given": given, "body": body, "calls": request.state.calls, "thread": in_a_thread})


async def _waiting(
    number: int, word: Annotated[str, Depends(_word)], needed: Annotated[int, Query()]
) -> Seen:
    return Seen(values={"given": [number, word, needed]})


@cache
def _application(kind: type[APIRoute]) -> FastAPI:
    """Return an application whose routes are of one kind."""
    app = FastAPI()
    settings = Settings.model_construct(max_body_bytes=1000)
    app.state.settings = settings
    app.state.services = SimpleNamespace(settings=settings, bodies=Bodies(1 << 20))
    app.router.route_class = kind
    app.post("/function/{number}", status_code=201)(_function)
    app.get("/waiting/{number}")(_waiting)

    async def refused(_: Request, error: Any) -> Response:
        return Response(status_code=422)

    app.add_exception_handler(Invalid, refused)
    return app


def _answer(kind: type[APIRoute], method: str, path: str, **more: Any) -> httpx.Response:
    """Call that application."""

    async def call() -> httpx.Response:
        application = _application(kind)

        async def by_anybody(scope: Any, receive: Any, send: Any) -> None:
            await application(scope | {CALLER: ANYBODY}, receive, send)

        transport = httpx.ASGITransport(by_anybody)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.request(method, path, **more)

    return asyncio.run(call())


CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/function/7", {}),
    ("POST", "/function/7?most=5&share=0.5&kind=b&several=1&several=2&word=five", {}),
    ("POST", "/function/7?kind=b", {"headers": {"Short-Name": "x", "If-None-Match": '"1"'}}),
    ("POST", "/function/7", {"json": {"name": "n", "sizes": [2, 3]}}),
    ("POST", "/function/7", {"json": {"name": "n"}}),
    ("POST", "/function/7", {"json": {"sizes": "none"}}),
    ("POST", "/function/x", {}),
    ("POST", "/function/-1", {}),
    ("POST", "/function/7?most=0", {}),
    ("POST", "/function/7?word=too-long", {}),
    ("POST", "/function/7?kind=c&most=none", {}),
    ("GET", "/waiting/1?needed=2", {}),
    ("GET", "/waiting/1?needed=2&word=w", {}),
    ("GET", "/waiting/1", {}),
]


@pytest.mark.parametrize(("method", "path", "more"), CALLS)
def test_a_call_is_answered_as_fastapi_answers_it(method: str, path: str, more: dict[str, Any]) -> None:
    ours, theirs = (_answer(kind, method, path, **more) for kind in (StrictRoute, APIRoute))
    assert ours.status_code == theirs.status_code
    if theirs.status_code != 422:
        assert ours.json() == theirs.json()
        assert dict(ours.headers) == dict(theirs.headers)


def _cookies(name: Annotated[str, Cookie()]) -> Seen:
    raise NotImplementedError


def _tasks(tasks: BackgroundTasks) -> Seen:
    raise NotImplementedError


def _form(name: Annotated[str, Form()]) -> Seen:
    raise NotImplementedError


def _bodies(one: Sent, other: Sent) -> Seen:
    raise NotImplementedError


def _opened() -> Iterator[int]:
    yield 1


def _yields(number: Annotated[int, Depends(_opened)]) -> Seen:
    raise NotImplementedError


@pytest.mark.parametrize("function", [_cookies, _tasks, _form, _bodies, _yields])
def test_what_is_not_read_is_refused_when_the_route_is_made(function: Any) -> None:
    with pytest.raises(TypeError, match="not read here"):
        StrictRoute("/", function, methods=["POST"])
