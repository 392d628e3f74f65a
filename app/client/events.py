"""Server-sent events, read so that nothing is lost when a connection breaks.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection
from urllib.parse import urlencode

from app.client.calls import Connect, Event, Pause, Stream
from app.client.errors import ConvserveError

END = "end"
_PASSING = (None, 502, 503, 504)
"""How a service that is just restarting answers, or what stands before it; None is no answer."""


def follow_all(
    jobs: Collection[str], kinds: Collection[str], after: int | None, patience: float
) -> Stream[Event]:
    """Give the events of all jobs, of some kinds, or of some jobs until the `end` of each; see `follow`.

    Args:
        jobs: their ids; none is all.
        kinds: none is all.
        after: the id of the last event that has been seen already.
        patience: seconds without a sign of the service after which to give up.
    """
    query = urlencode([*(("job", job) for job in jobs), *(("kind", kind) for kind in kinds)])
    left = set(jobs)

    def is_last(event: Event) -> bool:
        if event.kind == END:
            left.discard(event.data["job_id"])
        return bool(jobs) and not left

    return follow("/v1/events" + (f"?{query}" if query else ""), after, patience, is_last)


def follow(
    path: str,
    after: int | None,
    patience: float,
    is_last: Callable[[Event], bool] = lambda event: event.kind == END,
) -> Stream[Event]:
    """Give the events of a stream until its last one; go on after what has come when the connection breaks.

    Args:
        path: of the stream.
        after: the id of the last event that has been seen already.
        patience: seconds without a sign of the service after which to give up.
        is_last: tells whether no event follows one.

    Raises:
        ConvserveError: the service refuses, or was away for too long.
    """
    reader = _Reader(after, is_last)
    while not reader.over:
        headers = {"Accept": "text/event-stream"}
        if reader.last is not None:
            headers["Last-Event-ID"] = str(reader.last)
        lines = reader.lines
        reader.begin()
        error: ConvserveError | None = yield Connect(path, headers, reader.feed)
        if error is None and reader.lines == lines:
            return  # 204: the end has been sent before
        if error is not None and error.status not in _PASSING:
            raise error
        if time.monotonic() - reader.heard > patience:
            raise error or ConvserveError(f"the events of {path} break off again and again")
        if not reader.over:
            yield Pause(reader.pause)


class _Reader:
    """Makes events of lines.

    Attributes:
        last: the id of the last event.
        pause: seconds to wait before connecting again.
        lines: how many have come.
        heard: when the last one came.
        over: whether the end has come.
    """

    def __init__(self, last: int | None, is_last: Callable[[Event], bool]) -> None:
        self.last = last
        self._is_last = is_last
        self.pause = 1.0
        self.lines = 0
        self.heard = time.monotonic()
        self.over = False
        self._fields: dict[str, str] = {}

    def begin(self) -> None:
        """Forget the half of an event that a connection has broken in."""
        self._fields = {}

    def feed(self, line: str) -> Event | None:
        """Take a line, and return the event that it ends."""
        self.lines += 1
        self.heard = time.monotonic()
        if line:
            # What begins with a colon is a comment, sent to show life.
            name, _, value = line.partition(":")
            if name:
                self._fields[name] = value.removeprefix(" ")
            return None
        fields, self._fields = self._fields, {}
        if fields.get("retry", "").isdecimal():
            self.pause = int(fields["retry"]) / 1000
        try:
            number = int(fields["id"]) if "id" in fields else None
            # one without data says where the stream begins
            data = json.loads(fields["data"]) if "data" in fields else None
        except ValueError as error:
            raise ConvserveError(f"this is no event of a job: {fields}", status=200) from error
        if number is not None:
            self.last = number
        if data is None:
            return None
        event = Event(kind=fields.get("event", "message"), id=number, data=data)
        self.over = self._is_last(event)
        return event
