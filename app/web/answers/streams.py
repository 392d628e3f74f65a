"""What happens to a training job, as server-sent events.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.api.common import finite
from app.errors import NotFound, Unavailable
from app.store.events import END, MOST
from app.store.jobs import Jobs
from app.store.records import Json

INTERVAL = 0.25
"""Seconds between two looks."""
_QUIET_SECONDS = 15.0
_RETRY_MILLISECONDS = 1000


class EventStream(StreamingResponse):
    """An answer of events, made before the first one: so it can also be an error, or nothing."""

    media_type = "text/event-stream"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events; for HEAD the headers alone, without waiting for what happens."""
        if scope["method"] == "HEAD":
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            await send({"type": "http.response.body", "body": b""})
        else:
            await super().__call__(scope, receive, send)


async def follow(job_id: str, after: int, jobs: Jobs, stopping: Callable[[], bool]) -> AsyncIterator[bytes]:
    """Yield what happens to a job after the event of the number `after`, to its end.

    Events are rows, so a reader who comes back, be it to another server, goes on where it was. Progress is
    not: it has no id, and only its last state is sent. When this server is about to stop the stream ends
    without `end`.
    """
    yield f"retry: {_RETRY_MILLISECONDS}\n\n".encode()
    sent: Json | None = None
    last = time.monotonic()
    while not stopping():
        try:
            news = await run_in_threadpool(jobs.updates, job_id, after)
        except NotFound:
            # Only what waits or is finished can be deleted, and what is finished has had its end.
            yield _event(END, {"status": "cancelled", "model_id": None, "error": None, "at": None})
            return
        except Unavailable:
            await asyncio.sleep(INTERVAL)
            continue
        for event in news.events:
            yield _event(event.kind, event.data, event.number)
            if event.kind == END:
                return
            after, last = event.number, time.monotonic()
        if len(news.events) == MOST:
            continue
        if news.status.active and news.progress != sent:
            sent, last = news.progress, time.monotonic()
            yield _event("progress", news.progress)
        elif time.monotonic() - last > _QUIET_SECONDS:
            last = time.monotonic()
            yield KEEPALIVE_COMMENT
        await asyncio.sleep(INTERVAL)


def _event(kind: str, data: Json, number: int | None = None) -> bytes:
    return format_sse_event(
        event=kind,
        data_str=json.dumps(finite(data), separators=(",", ":")),
        id=None if number is None else str(number),
    )
