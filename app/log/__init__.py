"""The server's log: events with named values, and the id of the request that they belong to.

`app.log.format` says how lines look. Workers print for people, through `logging` itself.
"""

from __future__ import annotations

import logging
import sys
import time
from contextvars import ContextVar
from types import TracebackType
from typing import Any, TypeAlias

AUDIT = "app.audit"
"""The name of the log of who changed what; it is written whatever the level of the others."""

_Exception: TypeAlias = "tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]"

_request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
_traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)

_NOWHERE = logging.LogRecord("", 0, "", 0, "", (), None).__dict__ | dict.fromkeys(
    ("thread", "threadName", "process", "processName", "taskName")
)


class _Record(logging.LogRecord):
    """An event with its values, without where in the code and by which thread and process it was written.

    No line shows that, and to find it out takes half of what a line takes a request.
    """

    def __init__(
        self, name: str, level: int, event: str, values: dict[str, Any], exception: _Exception | None
    ) -> None:
        created = time.time()
        self.__dict__ = _NOWHERE | {
            "name": name,
            "levelno": level,
            "levelname": logging.getLevelName(level),
            "msg": event,
            "values": values,
            "exc_info": exception,
            "created": created,
            "msecs": created % 1 * 1000,
        }


class Log:
    """What one module has to say; an event is a word, and its values are JSON.

    Args:
        name: of the module.
    """

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def shows(self, level: int) -> bool:
        """Tell whether anybody sees what is written at a level of `logging`."""
        return self._logger.isEnabledFor(level)

    def write(self, level: int, event: str, **values: Any) -> None:
        """Write at a level of `logging`."""
        self._write(level, event, values)

    def debug(self, event: str, **values: Any) -> None:
        """Write what is of interest only when something is looked for."""
        self._write(logging.DEBUG, event, values)

    def info(self, event: str, **values: Any) -> None:
        """Write what happened in the ordinary course of things."""
        self._write(logging.INFO, event, values)

    def warning(self, event: str, **values: Any) -> None:
        """Write what somebody may want to look into."""
        self._write(logging.WARNING, event, values)

    def error(self, event: str, **values: Any) -> None:
        """Write what went wrong."""
        self._write(logging.ERROR, event, values)

    def exception(self, event: str, **values: Any) -> None:
        """Write what went wrong, with the exception that is being handled."""
        self._write(logging.ERROR, event, values, traceback=True)

    def _write(self, level: int, event: str, values: dict[str, Any], *, traceback: bool = False) -> None:
        if self._logger.isEnabledFor(level):
            values = {"request_id": identifier} | values if (identifier := _request_id.get()) else values
            exception = sys.exc_info() if traceback else None
            self._logger.handle(_Record(self._logger.name, level, event, values, exception))


def begin_request(identifier: str, traceparent: str | None = None) -> None:
    """Put the id of a request into every line that this task writes from now on, and what it starts: tasks, threads.

    Args:
        identifier: the id.
        traceparent: of which trace it is (W3C Trace Context).
    """
    _request_id.set(identifier)
    _traceparent.set(traceparent)


def request_origin() -> dict[str, Any] | None:
    """Return of which request what is made now comes: its id, and its trace if it is one's part; None without one."""
    identifier, traceparent = _request_id.get(), _traceparent.get()
    if identifier is None:
        return None
    return {"request_id": identifier} | ({} if traceparent is None else {"traceparent": traceparent})
