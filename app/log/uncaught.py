"""What nobody has caught, as lines of the log: exceptions, and the end of a process that crashes in native code."""

from __future__ import annotations

import faulthandler
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TextIO

from app.log import Log

log = Log(__name__)


def log_uncaught() -> None:
    """Send exceptions that nobody catches to the log: of this thread, of others, and of what cannot raise any."""
    sys.excepthook = _of_main
    threading.excepthook = _of_thread
    sys.unraisablehook = _of_nobody


def _of_main(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    _write("uncaught_exception", error, trace)


def _of_thread(given: threading.ExceptHookArgs) -> None:
    if given.exc_value is not None:
        name = None if given.thread is None else given.thread.name
        _write("uncaught_exception", given.exc_value, given.exc_traceback, thread=name)


def _of_nobody(given: sys.UnraisableHookArgs) -> None:
    if given.exc_value is not None:
        _write("exception_ignored", given.exc_value, given.exc_traceback, where=given.err_msg)


def _write(event: str, error: BaseException, trace: TracebackType | None, **values: str | None) -> None:
    try:
        raise error.with_traceback(trace)
    except BaseException:
        log.exception(event, **values)


@contextmanager
def crashes_kept(path: Path) -> Iterator[None]:
    """Let fatal signals (SIGSEGV and the like) write the stack of every thread to a file while entered.

    Who crashes in native code can write no line of a log any more: the next process of the same place does that. A disk
    that is full keeps nobody from starting.

    Args:
        path: the file; after an end in order there is none.
    """
    file: TextIO | None = None
    with suppress(OSError):
        if path.exists() and (left := path.read_text(encoding="utf-8", errors="replace").strip()):
            log.error("process_crashed", trace=left)
        file = path.open("w", encoding="utf-8")
        faulthandler.enable(file)
    try:
        yield
    finally:
        if file is not None:
            faulthandler.disable()
            file.close()
            with suppress(OSError):
                path.unlink(missing_ok=True)
