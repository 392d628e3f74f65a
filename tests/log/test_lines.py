"""Lines of the log are written by a thread: none is lost, none overtakes another, none is torn."""

import io
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app.log.lines import MOST_WAITING, Lines


@pytest.fixture
def written() -> Iterator[tuple[logging.Logger, io.StringIO, Lines]]:
    stream = io.StringIO()
    handler = Lines(stream)
    logger = logging.Logger("lines")
    logger.addHandler(handler)
    yield logger, stream, handler
    handler.close()


def test_lines_are_written_soon(
    written: tuple[logging.Logger, io.StringIO, Lines], wait_for: Callable[..., Any]
) -> None:
    logger, stream, _ = written
    logger.info("one")
    wait_for(stream.getvalue, "the line")
    logger.info("two")
    wait_for(lambda: stream.getvalue() == "one\ntwo\n", "the next line")


def test_a_warning_is_written_at_once_and_after_what_was_before_it(
    written: tuple[logging.Logger, io.StringIO, Lines],
) -> None:
    logger, stream, _ = written
    for number in range(100):
        logger.info("line %d", number)
    logger.warning("now")
    assert stream.getvalue().splitlines() == [*(f"line {number}" for number in range(100)), "now"]


def test_lines_of_many_threads_keep_the_order_of_each(
    written: tuple[logging.Logger, io.StringIO, Lines],
) -> None:
    logger, stream, handler = written

    def write(name: int) -> None:
        for number in range(500):
            (logger.warning if number % 50 == 0 else logger.info)("%d %d", name, number)

    threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    handler.flush()
    lines = [tuple(map(int, line.split())) for line in stream.getvalue().splitlines()]
    for name in range(4):
        assert [number for by, number in lines if by == name] == list(range(500))


def test_what_cannot_be_written_takes_no_other_line_with_it(
    written: tuple[logging.Logger, io.StringIO, Lines],
) -> None:
    logger, stream, handler = written
    logger.info("before")
    logger.info("%d", "no number")
    logger.info("after")
    handler.flush()
    assert stream.getvalue() == "before\nline_not_written\nafter\n"


def test_lines_do_not_pile_up_in_memory(
    written: tuple[logging.Logger, io.StringIO, Lines],
) -> None:
    logger, stream, _ = written
    for _ in range(3 * MOST_WAITING):
        logger.info("line")
    assert stream.getvalue().count("\n") >= 2 * MOST_WAITING


def test_the_last_lines_of_a_process_are_written() -> None:
    program = """
from app.log import Log
from app.log import format as log_format
from app.settings import Settings
log_format.configure(Settings(log_format="json"))
for number in range(1000):
    Log("app.last").info("line", number=number)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert [json.loads(line)["number"] for line in done.stderr.splitlines()] == list(range(1000))
