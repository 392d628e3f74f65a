"""Headless Chromium, spoken to by the DevTools protocol over two pipes: no driver and no library."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MISSING = "there is no Chromium: apt-get install chromium (`make test-web` says so too)"
NEEDED = [pytest.mark.web, pytest.mark.skipif(PROGRAM is None, reason=MISSING)]
"""Marks of a test that needs it."""


class Browser:
    """One page of one browser; started by entering it, ended by leaving.

    Args:
        profile: an empty directory for what it writes.
        password: what it answers when a server asks for a user's password.
    """

    def __init__(self, profile: Path, password: str | None = None) -> None:
        self._profile = profile
        self._password = password
        self._number = 0
        self._answers: dict[int, dict[str, Any]] = {}
        self._rest = b""
        self._session: str | None = None
        self.asked_for_password = False
        self.errors: list[str] = []
        """What the page has complained about."""

    def __enter__(self) -> Self:
        assert PROGRAM is not None, MISSING
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        options = "--headless=new --no-sandbox --disable-gpu --no-first-run --disable-dev-shm-usage"
        # it reads from 3 and writes to 4
        command = (
            f'exec "$0" {options} --remote-debugging-pipe --user-data-dir="$1" 3<&{theirs_in} 4>&{theirs_out}'
        )
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", command, PROGRAM, str(self._profile)],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._in, self._out = ours_in, ours_out
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        # of the processor, not of the clock: other programs run beside
        self.call("Performance.enable", timeDomain="threadTicks")
        if self._password is not None:
            self.call("Fetch.enable", handleAuthRequests=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and return its answer."""
        number = self._send(method, params)
        while number not in self._answers:
            self._receive()
        answer = self._answers.pop(number)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def open(self, url: str) -> None:
        """Go to a page."""
        self.call("Page.navigate", url=url)

    def run(self, script: str) -> Any:
        """Return the value of an expression of JavaScript."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, script: str, what: str, seconds: float = 60.0) -> Any:
        """Wait until an expression is true, and return it."""
        deadline = time.monotonic() + seconds
        while not (value := self.run(script)):
            assert time.monotonic() < deadline, f"{what} did not come; the page says {self.errors}"
            time.sleep(0.02)
        return value

    def busy(self) -> float:
        """Return the seconds of the processor that the page's own thread has taken."""
        metrics = self.call("Performance.getMetrics")["metrics"]
        return next(float(one["value"]) for one in metrics if one["name"] == "TaskDuration")

    def _send(self, method: str, params: dict[str, Any]) -> int:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        return self._number

    def _receive(self) -> None:
        while b"\0" not in self._rest:
            piece = os.read(self._in, 1 << 16)
            assert piece, "the browser has ended"
            self._rest += piece
        text, _, self._rest = self._rest.partition(b"\0")
        message = json.loads(text)
        if "id" in message:
            self._answers[message["id"]] = message
            return
        handle: Callable[[dict[str, Any]], None] | None = {
            "Fetch.requestPaused": self._go_on,
            "Fetch.authRequired": self._log_in,
            "Log.entryAdded": lambda event: self._complain(event["entry"]["level"], event["entry"]["text"]),
            "Runtime.exceptionThrown": lambda event: self._complain("error", json.dumps(event)),
        }.get(message["method"])
        if handle is not None:
            handle(message["params"])

    def _go_on(self, event: dict[str, Any]) -> None:
        self._send("Fetch.continueRequest", {"requestId": event["requestId"]})

    def _log_in(self, event: dict[str, Any]) -> None:
        self.asked_for_password = True
        answer = {"response": "ProvideCredentials", "username": "anybody", "password": self._password}
        self._send(
            "Fetch.continueWithAuth", {"requestId": event["requestId"], "authChallengeResponse": answer}
        )

    def _complain(self, level: str, text: str) -> None:
        if level == "error":
            self.errors.append(text)
