"""How log lines look: JSON for programs, columns for people."""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import Any

from app.log import AUDIT
from app.log.lines import Lines
from app.log.uncaught import log_uncaught
from app.settings import PREFIX, Settings
from app.text import visible

_OURS = ("app", "engine", "worker")

_encode = json.JSONEncoder(default=repr, allow_nan=False).encode


def configure(settings: Settings) -> None:
    """Send all logs of this process, the libraries' and Python's warnings too, to standard error."""
    handler = Lines(sys.stderr)
    handler.setFormatter(_Json() if as_json(settings) else _Columns())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    set_levels(settings.log_level)
    logging.getLogger(AUDIT).setLevel(logging.INFO)
    logging.captureWarnings(True)
    log_uncaught()


def set_levels(level: str) -> None:
    """Let our own modules say what is at least of a level, and libraries what is a warning at least.

    What they say else is about themselves; and at debug level some write what they send and receive: headers with keys
    and signatures, addresses with passwords, the bodies of forms.
    """
    least = logging.getLevelNamesMapping()[level.upper()]
    logging.getLogger().setLevel(max(least, logging.WARNING))
    for name in _OURS:
        logging.getLogger(name).setLevel(least)


def refusal(reason: str) -> str:
    """Return the line that says why the server does not start: a sentence, or JSON where that is asked for.

    The settings may be what is wrong, so that they are not there to say it.
    """
    if os.environ.get(f"{PREFIX}LOG_FORMAT", "").strip().lower() != "json":
        return f"Error: {reason}"
    record = logging.LogRecord(__name__, logging.ERROR, "", 0, "not_started", (), None)
    record.values = {"reason": reason}
    return _Json().format(record)


def as_json(settings: Settings) -> bool:
    """Tell whether lines are JSON: as it is set, else where nobody looks on."""
    if settings.log_format == "auto":
        return not sys.stderr.isatty()
    return settings.log_format == "json"


def _values(record: logging.LogRecord) -> dict[str, Any]:
    values: dict[str, Any] = getattr(record, "values", {})
    return values


class _Json(logging.Formatter):
    """One JSON object a line. No values of local variables: there can be keys and people's pictures among them."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "timestamp": _time(record),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "logger": record.name,
            **_values(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            return _encode(line)
        except ValueError:  # a number that JSON does not have
            return json.dumps({name: repr(value) for name, value in line.items()})


class _Columns(logging.Formatter):
    """Time, level, event, values; an exception below."""

    def format(self, record: logging.LogRecord) -> str:
        values = " ".join(
            f"{name}={value if isinstance(value, int | float) else json.dumps(value, default=repr)}"
            for name, value in _values(record).items()
        )
        line = f"{_time(record)} {record.levelname.lower():<7} {record.getMessage():<20} {values}".rstrip()
        if record.exc_info:
            # its message may have come from a caller, and a terminal is looked at
            line += "\n" + visible(self.formatException(record.exc_info), "\n\t")
        return line


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
