"""The server's log: events with named values, and the id of the request that they belong to.

`app.log.format` says how lines look. Workers print for people, through `logging` itself.
"""

from __future__ import annotations

import logging
import sys
from contextvars import ContextVar
from typing import Any

_request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


class Log:
    """What one module has to say; an event is a word, and its values are JSON.

    Args:
        name: of the module.
    """

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

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
            # without looking for the line of the call, which no line of the log shows
            record = self._logger.makeRecord(
                self._logger.name, level, "", 0, event, (), exception, extra={"values": values}
            )
            self._logger.handle(record)


def begin_request(identifier: str) -> None:
    """Put the id of a request into every line that this task writes from now on, and what it starts: tasks, threads."""
    _request_id.set(identifier)
