"""A stand-in for Ray's REST interface for jobs: real HTTP, a token, and a process for each job.

It answers as Ray 2.60 does, as far as our launcher asks.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_LOOK_SECONDS = 2.0
"""For how long Ray has not seen to the end of a job: what is deleted meanwhile fails, also a new one of the same id."""


class _Job:
    """A job, and its process as long as that is not lost."""

    def __init__(self, body: dict[str, Any], log: Path) -> None:
        self.body, self.log = body, log
        self.process: subprocess.Popen[bytes] | None = None
        self.status = "PENDING"
        self.stopping = False
        self.ended: float | None = None
        self.unreachable = False

    def begin(self) -> None:
        given = self.body["runtime_env"]["env_vars"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CONVSERVE_")}
        binaries = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        environment |= {"PATH": binaries, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **given}
        with self.log.open("ab") as log:
            log.write(f"Running entrypoint for job {self.body['submission_id']}\n".encode())
            log.flush()
            self.process = subprocess.Popen(
                ["/bin/sh", "-c", self.body["entrypoint"]],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        self.status = "RUNNING"
        if self.stopping:
            self.stop()

    def stop(self) -> None:
        self.stopping = True
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        threading.Thread(target=self._insist, args=(self.process,), daemon=True).start()

    def _insist(self, process: subprocess.Popen[bytes]) -> None:
        try:
            process.wait(float(self.body["runtime_env"]["env_vars"]["RAY_JOB_STOP_WAIT_TIME_S"]))
        except subprocess.TimeoutExpired:
            process.kill()

    def document(self) -> dict[str, Any]:
        status = None if self.process is None else self.process.poll()
        if self.status == "RUNNING" and status is not None:
            self.ended = time.monotonic()
            self.status = "STOPPED" if self.stopping else "FAILED" if status else "SUCCEEDED"
        code = status if self.status in ("SUCCEEDED", "FAILED") and not self.unreachable else None
        printed = self.log.read_text(errors="replace") if self.log.exists() else ""
        message = f"failed with exit code {code}, last available logs:\n{printed[-20_000:]}"
        return {"status": self.status, "driver_exit_code": code, "message": message}


class RayStandIn:
    """What `ray_stand_in` gives: the address and the token, and what can happen to a cluster."""

    def __init__(self, folder: Path) -> None:
        self.token = "stand-in-token"  # noqa: S105
        self.jobs: dict[str, _Job] = {}
        self.asked: list[str] = []
        """The paths of all calls."""
        self.full = False
        """Whether jobs wait for room."""
        self.away = False
        """Whether it answers no more."""
        self.silent = False
        """Whether nodes do not tell what jobs have printed."""
        self._folder = folder
        self._forgotten: dict[str, float] = {}
        """When jobs were deleted whose end Ray had not seen to."""
        self._lock = threading.Lock()
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer()

            do_POST = do_DELETE = do_GET  # noqa: N815

            def log_message(self, *arguments: Any) -> None:
                pass

            def _answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length) or "{}")
                if stand_in.away:
                    self.close_connection = True
                    return
                if self.headers["Authorization"] != f"Bearer {stand_in.token}":
                    status, text = 403, "Forbidden: Invalid authentication token"
                else:
                    status, text = stand_in.answer(self.command, self.path, body)
                content = text.encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def settings(self) -> dict[str, Any]:
        """Return what a server has to know."""
        return {"launcher": "ray", "ray_address": self.url, "ray_token": self.token}

    def submit(self, identifier: str, entrypoint: str) -> None:
        """Run a job of one's own."""
        environment = {"RAY_JOB_STOP_WAIT_TIME_S": "1"}
        body = {
            "submission_id": identifier,
            "entrypoint": entrypoint,
            "runtime_env": {"env_vars": environment},
        }
        assert self.answer("POST", "/api/jobs/", body)[0] == 200

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, str]:
        """Answer a call."""
        with self._lock:
            self.asked.append(path)
            if method == "GET" and path == "/api/jobs/":
                listed = [{"submission_id": name} | job.document() for name, job in self.jobs.items()]
                # somebody has connected to Ray
                return 200, json.dumps([*listed, {"submission_id": None, "status": "RUNNING"}])
            if method == "POST" and path == "/api/jobs/":
                identifier = body["submission_id"]
                if identifier in self.jobs:
                    return (
                        500,
                        f"ValueError: Job with submission_id {identifier} already exists. Use another.",
                    )
                self.jobs[identifier] = job = _Job(body, self._folder / f"{identifier}.log")
                if time.monotonic() - self._forgotten.get(identifier, -1e9) < _LOOK_SECONDS:
                    job.status = "FAILED"
                elif not self.full:
                    job.begin()
                return 200, json.dumps({"submission_id": identifier})
            identifier, _, what = path.removeprefix("/api/jobs/").partition("/")
            if identifier not in self.jobs:
                return 404, f"Job {identifier} does not exist"
            return self._answer_of(identifier, method, what)

    def _answer_of(self, identifier: str, method: str, what: str) -> tuple[int, str]:
        found = self.jobs[identifier]
        document = found.document()
        if what == "logs" and (found.unreachable or self.silent):
            return 500, "Traceback\nException: no agent on the node of the job"
        if what == "logs":
            return 200, json.dumps(
                {"logs": found.log.read_text(errors="replace") if found.log.exists() else ""}
            )
        if what == "stop":
            found.stop()
        elif method == "DELETE":
            if document["status"] in ("PENDING", "RUNNING"):
                return 500, "RuntimeError: it is in a non-terminal state"
            del self.jobs[identifier]
            if found.ended is not None and time.monotonic() - found.ended < _LOOK_SECONDS:
                self._forgotten[identifier] = time.monotonic()
        return 200, json.dumps(document)

    def make_room(self) -> None:
        """Begin what waits."""
        with self._lock:
            self.full = False
            for job in self.jobs.values():
                if job.status == "PENDING":
                    job.begin()

    def lose(self, identifier: str) -> None:
        """Lose the node of a job, whose process runs on."""
        with self._lock:
            self.jobs[identifier].status, self.jobs[identifier].unreachable = "FAILED", True

    def restart(self) -> list[subprocess.Popen[bytes]]:
        """Forget everything, as a head does that is killed, and return the processes that run on."""
        with self._lock:
            left = [job.process for job in self.jobs.values() if job.process is not None]
            self.jobs.clear()
            return left

    def close(self) -> None:
        """End it with all its processes."""
        self._server.shutdown()
        self._server.server_close()
        for process in self.restart():
            with suppress(ProcessLookupError):
                process.kill()
            process.wait()


@contextmanager
def ray_stand_in(folder: Path) -> Iterator[RayStandIn]:
    """Run one, whose logs lie in a folder."""
    made = RayStandIn(folder)
    try:
        yield made
    finally:
        made.close()
