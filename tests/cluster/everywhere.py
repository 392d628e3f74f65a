"""`pytest -p tests.cluster.everywhere tests/http`: the tests of one server, with PostgreSQL, an object store and Ray.

Nothing but variables is set: each data directory of a server gets a database and a place in the bucket of its own, and
its jobs go to one Ray cluster, where Ray can be used. `--without ray` leaves out what is slow. Tests that are marked
`local` are left out.
"""

from __future__ import annotations

import os
import re
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from app.cli.launch import SERVE, ServerProcess
from tests.cluster.postgres import postgres_server
from tests.cluster.ray_cluster import NODES, missing, running
from tests.cluster.seaweed import S3Server
from tests.pages import rewrite

PAGE = Path(__file__).resolve().parents[2] / "docs" / "nightly.md"
_PART = re.compile(r"(?<=<!-- everywhere -->\n).*(?=<!-- /everywhere -->)", re.DOTALL)
_GIVEN = "TEST_EVERYWHERE_"
"""What the variables begin with that tell the processes of a run about its services."""

_LEFT_OUT = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let some of the services be left out."""
    parser.addoption("--without", action="append", default=[], choices=["postgres", "s3", "ray"])


def pytest_configure(config: pytest.Config) -> None:
    """Start the services, once for all processes of the run, and have all servers use them."""
    if not hasattr(config, "workerinput"):
        without = config.getoption("--without")
        if "ray" not in without and (why := missing()):
            without.append("ray")
            config.stash[_LEFT_OUT] = f"without Ray: {why}"
        stack = ExitStack()
        config.add_cleanup(stack.close)
        for name, value in _start(stack, set(without)).items():
            os.environ[_GIVEN + name] = value
    _give_all({name.removeprefix(_GIVEN): os.environ[name] for name in os.environ if name.startswith(_GIVEN)})


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say what could not be had."""
    return config.stash.get(_LEFT_OUT, None)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is about the files of one machine."""
    local = [item for item in items if item.get_closest_marker("local")]
    config.hook.pytest_deselected(items=local)
    items[:] = [item for item in items if item not in local]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write what came of it to docs/nightly.md."""
    config = terminalreporter.config
    if hasattr(config, "workerinput"):
        return
    counts = {
        name: len(terminalreporter.getreports(name)) for name in ("passed", "failed", "error", "skipped")
    }
    failed = [report.nodeid for name in ("failed", "error") for report in terminalreporter.getreports(name)]
    services = sorted({"postgres", "s3", "ray"} - set(config.getoption("--without")))
    line = (
        f"On {datetime.now(UTC).date()}, with {', '.join(services)}: "
        f"{', '.join(f'{count:,} {name}' for name, count in counts.items())}.\n"
    )
    lines = [line, *(f"- `{name}`\n" for name in failed)]
    rewrite(PAGE, lambda page: _PART.sub(lambda _: "".join(lines), page))


def _start(stack: ExitStack, without: set[str]) -> dict[str, str]:
    """Start the services, and return the settings of a server that uses them; a place is `{}` in them."""
    settings = {}
    if "postgres" not in without:
        database = stack.enter_context(postgres_server())
        settings["DATABASE_URL"] = database.url("{}")
    if "s3" not in without:
        bucket = S3Server()
        stack.callback(bucket.remove)
        bucket.start()
        settings |= bucket.settings("{}")
    if "ray" not in without:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="everywhere-")))
        settings |= stack.enter_context(running(folder, *NODES, cores=2)).settings()
    return settings


def _give_all(settings: Mapping[str, str]) -> None:
    """Have each server process that is made from now on use the services, unless a test says otherwise."""
    begin = ServerProcess.__init__

    def begin_with_services(
        self: ServerProcess,
        data_dir: Path,
        log: Path,
        given: Mapping[str, str] | None = None,
        command: Sequence[str] = SERVE,
        port: int = 0,
    ) -> None:
        place = f"everywhere_{zlib.crc32(str(data_dir).encode()):08x}"
        everywhere = {name: value.replace("{}", place) for name, value in settings.items()}
        if "DATABASE_URL" in everywhere:
            _make_database(everywhere["DATABASE_URL"], place)
        begin(self, data_dir, log, everywhere | dict(given or {}), command, port)

    ServerProcess.__init__ = begin_with_services  # type: ignore[method-assign]


def _make_database(url: str, name: str) -> None:
    address = url.replace("+psycopg", "").replace(f"/{name}", "/postgres")
    with psycopg.connect(address, autocommit=True) as connection:
        found: Any = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
        if found is None:
            connection.execute(f"CREATE DATABASE {name}")
