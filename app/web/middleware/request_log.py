"""Structured logs: one line for each request, with an id that the answer carries too."""

from __future__ import annotations

import asyncio
import logging
import random
import re
import time
from collections.abc import Awaitable, Mapping
from http import HTTPStatus
from typing import NamedTuple

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import Unavailable
from app.keys.callers import key_of
from app.log import Log, begin_request
from app.metrics.families import IN_PROGRESS, REFUSALS, REQUEST_SECONDS
from app.metrics.faults import count_fault
from app.metrics.metrics import OTHER, Histogram, Metrics, Sample
from app.web.answers.problems import OUTCOME, STOPPING, explain, problem_response, respond
from app.web.bodies.needs import SAFE_METHODS
from app.web.bodies.scopes import REFUSED, TRACEPARENT, path_of, received
from app.web.bodies.scopes import REQUEST_ID as ID
from app.web.middleware import audit
from app.web.middleware.headers import REQUEST_ID, complete

log = Log(__name__)

_ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_CLIENT_LEFT = 499
_PAGES, _UNMATCHED = "pages", "unmatched"
"""What stands for the route where there is none: of the web page, the documentation and their files; of all else."""
NO_ROUTE = "none"
"""The same of what never came to the routes: its connection refused it."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _given(headers: dict[bytes, bytes], name: bytes, form: re.Pattern[str]) -> str | None:
    """Return a header of a request if it has the form that it should have, else None."""
    given = headers.get(name)
    if given is None:
        return None
    text = given.decode("latin-1")
    return text if form.fullmatch(text) else None


def new_request_id() -> str:
    """Return the id of a request that came with none."""
    # nothing secret: asking the system lets go of the interpreter's lock, and threads that compute keep it for a while
    return f"{random.getrandbits(128):032x}"


class _Seen(NamedTuple):
    """What becomes of the requests of a route that are answered with a status."""

    seconds: Histogram
    level: int


class Answered:
    """How requests have ended, in a serving process: counted by route and status, and a line of the log for each.

    A line holds neither query nor headers, where secrets can be.

    Args:
        metrics: where they are counted.
    """

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self.in_progress = 0
        self._seen: dict[tuple[str, str, int | None], _Seen] = {}
        """What this process has answered already: a look here is a quarter of one in `metrics`."""
        metrics.watch(self._samples)

    def note(
        self, scope: Scope, status: int | None, seconds: float, outcome: Mapping[str, str], unrouted: str
    ) -> None:
        """Count and log a request.

        Args:
            scope: as it was left.
            status: of the answer; None where there was none.
            seconds: from its head to the end of its answer.
            outcome: the code of the problem, where the answer is one.
            unrouted: what stands for the route where it came to none.
        """
        seen = self._seen_as(scope, status, unrouted)
        seen.seconds.observe(seconds)
        if outcome:
            self.metrics.counter(REFUSALS, str(status), outcome["problem"]).add()
        if not log.shows(seen.level):
            return
        log.write(
            seen.level,
            "request",
            method=scope["method"],
            path=path_of(scope),
            client=scope["client"][0] if scope["client"] else None,
            status=status,
            milliseconds=round(1000 * seconds, 1),
            **key_of(scope),
            **outcome,
        )

    def note_unread(self, client: str | None, status: int, code: str, request_id: str) -> None:
        """Count and log what was refused before it could be read as a request: it has no method, path and duration."""
        self.metrics.histogram(REQUEST_SECONDS, OTHER, NO_ROUTE, str(status)).observe(0.0)
        self.metrics.counter(REFUSALS, str(status), code).add()
        log.info(
            "request",
            request_id=request_id,
            method=None,
            path=None,
            client=client,
            status=status,
            milliseconds=0.0,
            problem=code,
        )

    def _seen_as(self, scope: Scope, status: int | None, unrouted: str) -> _Seen:
        """Return how requests of this kind that are answered so are counted and logged."""
        route = scope.get("route")
        is_error = status is None or status >= HTTPStatus.BAD_REQUEST
        template: str = route.path if route is not None else unrouted if is_error else _PAGES
        key = scope["method"], template, status
        seen = self._seen.get(key)
        if seen is None:
            method = key[0] if key[0] in _METHODS else OTHER
            quiet = not is_error and getattr(route, "is_polled", False)
            seen = _Seen(
                self.metrics.histogram(REQUEST_SECONDS, method, template, str(status or 0)),
                logging.DEBUG if quiet else logging.INFO,
            )
            if route is not None:  # of others there are as many as somebody likes to make up
                self._seen[key] = seen
        return seen

    def _samples(self) -> tuple[Sample, ...]:
        return ((IN_PROGRESS, (), self.in_progress),)


class RequestLog:
    """ASGI middleware: gives each request an id, answers what was raised on its way, and has it logged how it ended.

    Args:
        app: what answers.
        answered: logs and counts.
        unrouted: what stands for the route of a request that came to none.
    """

    def __init__(self, app: ASGIApp, answered: Answered, unrouted: str = _UNMATCHED) -> None:
        self.app = app
        self._answered = answered
        self._unrouted = unrouted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = received(scope)
        request_id = _given(headers, REQUEST_ID, _ACCEPTABLE_ID) or new_request_id()
        status: int | None = None
        outcome: dict[str, str] = {}
        scope[OUTCOME], scope[ID] = outcome, request_id
        start = time.perf_counter()
        self._answered.in_progress += 1

        def send_with_id(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                complete(message, scope, request_id)
            return send(message)

        # of which trace a caller says that the request is; it goes on with the job that the request asks for
        trace = scope.get(TRACEPARENT) or _given(headers, b"traceparent", _TRACEPARENT)
        begin_request(request_id, trace)
        try:
            await self.app(scope, receive, send_with_id)
        except ClientDisconnect:
            status = _CLIENT_LEFT
        except asyncio.CancelledError:
            # By nobody but the server itself, which has waited for the last answers and stops now. An answer that has
            # begun is broken off.
            if status is None:
                await respond(Unavailable(STOPPING))(scope, receive, send_with_id)
        except Exception as error:
            count_fault(self._answered.metrics, error)
            answer = None if status is not None else explain(error, scope)
            if answer is None:
                log.exception("unexpected_error", method=scope["method"], path=path_of(scope))
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
            seconds = time.perf_counter() - start
            self._answered.in_progress -= 1
            if refused := scope.get(REFUSED):  # whatever was to be answered
                status, outcome["problem"] = refused
            self._answered.note(scope, status, seconds, outcome, self._unrouted)
            if scope["method"] not in SAFE_METHODS and audit.concerns(scope, status):
                await audit.record(scope, status)
