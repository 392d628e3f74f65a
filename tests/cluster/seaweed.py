"""SeaweedFS for tests: an S3 server on the loopback address, started and ended by us, without privileges."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import obstore
import pytest
from obstore.exceptions import BaseError
from obstore.store import S3Store

from app.settings import Settings

NOBODY = 65534
_DEADLINE = 120.0
_KEY, _SECRET = "tests", "a-secret-of-tests"
_PORTS = ("master.port", "volume.port", "filer.port", "s3.port")
_SOCKETS = ("master", "volume", "filer", "s3")
_numbers = itertools.count(1)


class S3Server:
    """An S3 server on free ports, which it keeps when it is started again."""

    def __init__(self) -> None:
        # not below a folder of pytest, which nobody else may enter
        self.folder = Path(tempfile.mkdtemp(prefix="convserve-s3-"))
        program = Path(sys.executable).with_name("weed")
        assert program.exists(), "run make test-cluster, which installs SeaweedFS"
        self._user: list[str] = []
        self._data = self.folder / "data"
        self._data.mkdir()
        identity = {
            "name": "tests",
            "credentials": [{"accessKey": _KEY, "secretKey": _SECRET}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        config = self.folder / "s3.json"
        config.write_text(json.dumps({"identities": [identity]}))
        self._program = program
        if os.geteuid() == 0:
            # the environment may lie where nobody else may look
            self._program = self.folder / "weed"
            shutil.copy(program, self._program)
            self.folder.chmod(0o755)
            os.chown(self._data, NOBODY, NOBODY)
            self._user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        names = [*_PORTS, *(f"{name}.grpc" for name in _PORTS)]
        ports = dict(zip(names, _free_ports(len(names)), strict=True))
        self._grpc = {name: ports[f"{name}.port.grpc"] for name in _SOCKETS}
        self._options = [f"-{name}={port}" for name, port in ports.items()]
        self._options += [
            f"-dir={self._data}",
            f"-s3.config={config}",
            *(
                "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1",
                "-s3",
                "-s3.iam=false",
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
                "-master.telemetry=false",
            ),
            *("-master.volumeSizeLimitMB=64", "-volume.max=100", "-volume.preStopSeconds=0"),
            *(f"-{name}.localSocket={self._data}/{name}.sock" for name in ("filer", "s3")),
        ]
        self.endpoint = f"http://127.0.0.1:{ports['s3.port']}"
        self._process: subprocess.Popen[bytes] | None = None

    def settings(self, prefix: str) -> dict[str, str]:
        """Return the settings of a server that has its artifacts here, by their names."""
        return {
            "ARTIFACTS_URL": f"s3://bucket/{prefix}",
            "ARTIFACTS_ENDPOINT": self.endpoint,
            "ARTIFACTS_ALLOW_HTTP": "true",
            "ARTIFACTS_ACCESS_KEY_ID": _KEY,
            "ARTIFACTS_SECRET_ACCESS_KEY": _SECRET,
        }

    def store(self, prefix: str) -> S3Store:
        """Return what has access to the files below a prefix, and knows nothing of ours."""
        return _store(self.endpoint, prefix)

    def names(self, prefix: str, below: str = "") -> list[str]:
        """Return what is in the bucket below a prefix."""
        return sorted(
            item["path"] for page in obstore.list(self.store(prefix), below or None) for item in page
        )

    def start(self) -> None:
        """Start it, and wait until it takes what is written."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._user, str(self._program), "-logtostderr=true", "server", *self._options],
                cwd=self._data,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        limit = time.monotonic() + _DEADLINE
        while time.monotonic() < limit and self._process.poll() is None:
            with suppress(BaseError):
                obstore.put(self.store("tests"), "started", b"1")
                return
            time.sleep(0.1)
        raise AssertionError((self.folder / "log").read_text()[-2000:])

    def kill(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def remove(self) -> None:
        """Kill it, and remove all that it has left."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        for name, port in self._grpc.items():
            Path(f"/tmp/seaweedfs-{name}-grpc-{port}.sock").unlink(missing_ok=True)  # noqa: S108 - it decides that


def store_of(settings: Settings) -> S3Store:
    """Return what has access to the files of an installation that has them in such a server."""
    assert settings.artifacts_endpoint is not None
    assert settings.artifacts_url is not None
    return _store(settings.artifacts_endpoint, settings.artifacts_url.removeprefix("s3://bucket/"))


def _store(endpoint: str, prefix: str) -> S3Store:
    return S3Store(
        "bucket",
        prefix=prefix,
        endpoint=endpoint,
        region="us-east-1",
        access_key_id=_KEY,
        secret_access_key=_SECRET,
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@contextmanager
def running() -> Iterator[S3Server]:
    """Run an S3 server, and remove what it has stored."""
    server = S3Server()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """An S3 server that tests share."""
    with running() as server:
        yield server


@pytest.fixture
def prefix() -> str:
    """Where nothing is in the bucket."""
    return f"of-{os.getpid()}/test-{next(_numbers)}"
