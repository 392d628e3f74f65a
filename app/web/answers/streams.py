"""What happens to jobs, as server-sent events.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Annotated

from fastapi import Header
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.api.common import finite
from app.errors import Damaged, Invalid, Unavailable
from app.jobs.watcher import JOBS, Changed, Gone, News, State, Wanted
from app.keys.callers import caller_of
from app.keys.turns import TURN, Turn
from app.log import Log
from app.services import Services
from app.store.events import END
from app.store.news import JobEvent
from app.store.queues import Counts
from app.store.records import JobRecord, Json
from app.web.answers.rows import row_json
from app.web.answers.system import kinds_of_jobs

log = Log(__name__)

PROGRESS = "progress"
JOB = "job"
COUNTS = "counts"
CHANGED = "changed"
_QUIET_SECONDS = 15.0
_RETRY_MILLISECONDS = 1000
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_OF_ONE, _OF_ALL = "one", "all"
_STOPPING = f": the server is about to stop; the rest comes when it is back\nretry: {_RETRY_MILLISECONDS}\n\n".encode()
"""The last words of a stream that is not at its end: none that a reader has to know."""

LastEventId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        description="The id of the last event that was received; what follows it is sent.",
    ),
]
"""Where a reader goes on; see `event_number`."""


class EventStream(StreamingResponse):
    """An answer of events, made before the first one: so it can also be an error, or nothing."""

    media_type = "text/event-stream"

    # FastAPI reads here which status such answers have
    def __init__(self, events: AsyncGenerator[bytes, None], status_code: int = 200) -> None:
        super().__init__(events, status_code, headers=_HEADERS)
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events; for HEAD the headers alone, without waiting for what happens."""
        async with aclosing(self._events):  # at once when its reader has gone, and not when it is collected
            if scope["method"] == "HEAD":
                await send(
                    {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
                )
                await send({"type": "http.response.body", "body": b""})
            else:
                try:
                    await self._send_while_allowed(scope, receive, send)
                except TimeoutError:
                    await send({"type": "http.response.body", "body": b""})

    async def _send_while_allowed(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events until they end, or the key of their reader is none any more."""
        turn: Turn | None = scope.get(TURN)
        if turn is not None:
            turn.leave()  # it waits and computes nothing
        services: Services = scope["app"].state.services
        async with asyncio.timeout(None) as allowed:
            with services.standing.bound(caller_of(scope), allowed):
                await super().__call__(scope, receive, send)


def of_job(services: Services, job_id: str, after: int) -> EventStream:
    """Return the events of one job behind a position, to its end; they are numbered as they happened to it."""
    return EventStream(_written(services, Wanted(frozenset({job_id})), after, _OF_ONE))


def of_jobs(services: Services, wanted: Wanted, after: int) -> EventStream:
    """Return the events of several jobs behind a position, each with its job; the ids are positions.

    Where jobs are named it ends with the last of them, else never.
    """
    return EventStream(_written(services, wanted, after, _OF_ALL))


async def _written(services: Services, wanted: Wanted, after: int, form: str) -> AsyncGenerator[bytes, None]:
    """Write what happens.

    Events are rows, so a reader who comes back, be it to another server, goes on where it was. States and progress are
    not: they have no id, and only the last is sent. When this server is about to stop the stream ends without `end`.
    """
    yield f"retry: {_RETRY_MILLISECONDS}\n\n".encode()
    if form == _OF_ALL:
        # whoever is cut off before the first event still knows where it was
        yield f"id: {after}\n\n".encode()
    open_jobs = set(wanted.job_ids or ())
    write = partial(_state, services)
    async with aclosing(services.watcher.follow(wanted, after, _QUIET_SECONDS)) as happenings:
        async for together in happenings:
            # what waits goes out as one piece: a reader costs what it is sent by pieces
            written = [] if together else [KEEPALIVE_COMMENT]
            for news in together:
                match news:
                    case State():
                        written.append(await news.written(write))
                    case Changed(lists):
                        written.append(_event(CHANGED, {"lists": list(lists)}))
                    case Gone(job_id):
                        if job_id in open_jobs:
                            # Only what waits or is finished can be deleted, and what is finished has had its end.
                            end = {"status": "cancelled", "model_id": None, "error": None, "at": None}
                            written.append(_event(END, end if form == _OF_ONE else end | {"job_id": job_id}))
                            open_jobs.discard(job_id)
                    case News(of):
                        written.append(_news(news, form))
                        if isinstance(of, JobEvent) and of.kind == END:
                            open_jobs.discard(of.job_id)
            if piece := b"".join(written):
                yield piece
            if wanted.job_ids is not None and not open_jobs:
                return
    yield _STOPPING


def _news(news: News, form: str) -> bytes:
    """Write news in a form, once for all who follow."""
    written = news.written.get(form)
    if written is None:
        of = news.of
        kind, data = (of.kind, of.data) if isinstance(of, JobEvent) else (PROGRESS, of.progress)
        number: int | None = None
        if isinstance(of, JobEvent):
            number = of.number if form == _OF_ONE else of.position
        if form == _OF_ALL:
            data = {**data, "job_id": of.job_id, "kind": of.job_kind, "dataset_id": of.dataset_id}
        written = news.written[form] = _event(kind, data, number)
    return written


def _state(services: Services, of: JobRecord | Counts) -> bytes:
    """Write how something is now; nothing of a job whose kind has no list. For a thread: it may read rows.

    What cannot be written, everybody is told to ask for.
    """
    try:
        # what shows jobs is loaded with the first that moves, and not by the first page that is opened
        from app.web.answers.job_entries import ENTRIES  # noqa: PLC0415

        if not isinstance(of, JobRecord):
            jobs = [kind.model_dump(mode="json") for kind in kinds_of_jobs(of)]
            return _event(COUNTS, {"jobs": jobs})
        entries = ENTRIES.get(of.kind)
        if entries is None:
            return b""
        entry = row_json(of, entries(services, [of]))
        rest = _json({"job_id": of.id, "kind": of.kind, "dataset_id": of.dataset_id})
        return format_sse_event(event=JOB, data_str=f'{{"job":{entry},{rest[1:]}')
    except Exception as error:
        if not isinstance(error, Damaged | Unavailable):
            log.exception("state_cannot_be_written")
        return _event(CHANGED, {"lists": [JOBS]})


def _event(kind: str, data: Json, number: int | None = None) -> bytes:
    return format_sse_event(event=kind, data_str=_json(data), id=None if number is None else str(number))


def _json(data: Json) -> str:
    return json.dumps(finite(data), separators=(",", ":"))


def event_number(text: str | None) -> int | None:
    """Read the header Last-Event-ID; None where there is none.

    Raises:
        Invalid: it is no id of an event.
    """
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        detail = f"{text!r} is no id of an event"
        raise Invalid.at("Last-Event-ID", detail, "send the id as it was received", parameter=True)
    return int(text)
