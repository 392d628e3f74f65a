"""A service as a process of its own: started, waited for, stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from app.client import Client, ConvserveError

SERVE = (sys.executable, "-P", "-m", "app.cli", "serve")


class LaunchError(Exception):
    """The service did not start or did not stop as it should; the message ends with its last lines."""


class ServerProcess:
    """A service on the loopback address; started by entering it, stopped by leaving.

    Args:
        data_dir: its data directory.
        log: the file that its output goes to.
        settings: variables without their prefix, such as `{"MAX_JOBS": "2"}`. Those of the surrounding
            environment are not passed on.
        command: what to run instead of this Python's `convserve serve`; options are added.
        port: the one it listens on; 0 picks a free one.
    """

    def __init__(
        self,
        data_dir: Path,
        log: Path,
        settings: Mapping[str, str] | None = None,
        command: Sequence[str] = SERVE,
        port: int = 0,
    ) -> None:
        self.data_dir = data_dir
        self.log = log
        self._settings = dict(settings or {})
        self._command = (*command, "--host", "127.0.0.1", "--port", str(port), "--data-dir", str(data_dir))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def api_key(self) -> str | None:
        """The key it was given."""
        return self._settings.get("API_KEY")

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._running().pid

    def start(self, timeout: float = 60.0) -> str:
        """Start it and wait until it is ready; return its address.

        Raises:
            LaunchError: it ended, or was not ready in time.
        """
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CONVSERVE_")}
        environment |= {f"CONVSERVE_{name}": value for name, value in self._settings.items()}
        with self.log.open("ab") as output:
            # In a session of its own: Ctrl-C in the terminal is for us, and we stop it.
            self._process = subprocess.Popen(  # noqa: S603 - our own command, no shell
                self._command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            return self._wait_until_ready(timeout)
        except BaseException:
            self.kill()
            raise

    def stop(self, timeout: float = 60.0) -> None:
        """Send it SIGTERM, and wait until it has ended; a process that has already ended is left alone.

        Raises:
            LaunchError: it had to be killed, or ended with a status other than 0.
        """
        process = self._running()
        process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise LaunchError(self._report(f"the service did not stop within {timeout:.0f} s")) from None
        if status != 0:
            raise LaunchError(self._report(f"the service ended with status {status}"))

    def kill(self) -> None:
        """End it at once, without a chance to tidy up."""
        process = self._running()
        process.kill()
        process.wait()

    def __enter__(self) -> str:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        except LaunchError:
            # What went wrong first is what the reader needs.
            if error is None:
                raise

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise LaunchError("the service has not been started")
        return self._process

    def _wait_until_ready(self, timeout: float) -> str:
        process = self._running()
        limit = time.monotonic() + timeout
        while time.monotonic() < limit:
            if process.poll() is not None:
                raise LaunchError(self._report(f"the service ended with status {process.returncode}"))
            url = self._address()
            if url and self._ready(url):
                return url
            time.sleep(0.05)
        raise LaunchError(self._report(f"the service was not ready after {timeout:.0f} s"))

    def _address(self) -> str | None:
        try:
            written = json.loads((self.data_dir / "server.json").read_bytes())
        except (OSError, ValueError):
            return None
        # An earlier server may have left its file.
        return str(written["url"]) if written["pid"] == self.pid else None

    def _ready(self, url: str) -> bool:
        try:
            with Client(url, api_key=self.api_key) as client:
                return client.ready()
        except ConvserveError:
            return False

    def _report(self, message: str) -> str:
        last = self.log.read_text(errors="replace").splitlines()[-20:]
        return "\n".join([message, *(f"  {line}" for line in last)])
