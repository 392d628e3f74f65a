"""Log lines of workers, which are the log of their job: for people."""

from __future__ import annotations

import logging
import time

from app.log.format import set_levels


def configure_plain_log(level: str) -> None:
    """Write log lines with their time (UTC) to standard error."""
    handler = logging.StreamHandler()
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler])
    set_levels(level)
