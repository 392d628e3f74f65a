"""How a process ends that is done, while threads of it still compute."""

from __future__ import annotations

import logging
import os
import sys
import threading


def leave() -> None:
    """End this process with status 0, without waiting for threads whose results nobody is there to take.

    To be called when all that is to be kept has been kept. Python would wait until the last of them is done, which may
    be long after the server has told their callers that it stops.
    """
    if all(thread.daemon or thread is threading.current_thread() for thread in threading.enumerate()):
        return
    logging.shutdown()
    sys.stderr.flush()
    os._exit(0)
