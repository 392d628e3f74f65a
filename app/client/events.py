"""Server-sent events, read so that nothing is lost when a connection breaks.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import json
import time

from app.client.calls import Connect, Event, Pause, Stream
from app.client.errors import ConvserveError

END = "end"
_PASSING = (None, 502, 503, 504)
"""How a service that is just restarting answers, or what stands before it; None is no answer."""


def follow(path: str, after: int | None, patience: float) -> Stream[Event]:
    """Give the events of a stream until its `end`; go on after the last one when the connection breaks.

    Args:
        path: of the stream.
        after: the id of the last event that has been seen already.
        patience: seconds without a sign of the service after which to give up.

    Raises:
        ConvserveError: the service refuses, or was away for too long.
    """
    reader = _Reader(after)
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

    def __init__(self, last: int | None) -> None:
        self.last = last
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
        if "data" not in fields:
            return None
        try:
            number = int(fields["id"]) if "id" in fields else None
            event = Event(kind=fields.get("event", "message"), id=number, data=json.loads(fields["data"]))
        except ValueError as error:
            raise ConvserveError(f"this is no event of a job: {fields}", status=200) from error
        if number is not None:
            self.last = number
        self.over = event.kind == END
        return event
