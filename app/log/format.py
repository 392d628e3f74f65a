"""How log lines look: JSON for programs, columns for people."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from app.log.lines import Lines
from app.settings import Settings

_encode = json.JSONEncoder(default=repr, allow_nan=False).encode


def configure(settings: Settings) -> None:
    """Send all logs of this process, the libraries' and Python's warnings too, to standard error."""
    handler = Lines(sys.stderr)
    handler.setFormatter(_Json() if as_json(settings) else _Columns())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    logging.captureWarnings(True)
    # Their ordinary messages are about themselves; what we do is in our own lines.
    for name in ("uvicorn", "uvicorn.error", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


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
            line += "\n" + self.formatException(record.exc_info)
        return line


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")[:-6] + "Z"
