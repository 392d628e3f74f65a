"""Ray's REST interface for jobs, as far as a launcher needs it; the only one that knows it.

https://docs.ray.io/en/latest/cluster/running-applications/job-submission/rest.html
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import httpx

_SECONDS = 10.0
_SUBMIT_SECONDS = 30.0
_AWAY_SECONDS = 2.0
"""For how long a Ray that has not answered is not asked again: many attempts are looked at one after another."""


class RayAway(Exception):
    """Ray does not answer, or answers with what cannot be used."""


class NodeAway(RayAway):
    """Ray answers, and has nothing from where a job is, or was."""


class Exists(Exception):
    """Ray has a job of this id already."""


class Phase(Enum):
    """Where a Ray job is."""

    WAITING = auto()
    """For room on a node."""
    RUNNING = auto()
    """On a node."""
    ENDED = auto()
    """Its process is gone."""
    LOST = auto()
    """Ray has lost its process, which may run on where Ray does not reach it."""
    UNKNOWN = auto()
    """Ray knows no such job, any more or yet."""


@dataclass(frozen=True, slots=True)
class RayJob:
    """What Ray says of a job.

    Attributes:
        phase: where it is.
        exit_status: of its process, where that ended by itself.
        message: what Ray has to say, with the end of what was printed where it failed.
    """

    phase: Phase
    exit_status: int | None = None
    message: str = ""


class RayRest:
    """Calls of Ray's REST interface.

    Args:
        address: where it is, such as `http://127.0.0.1:8265`.
        token: returns the token that Ray wants now, None where it wants none.
    """

    def __init__(self, address: str, token: Callable[[], str | None]) -> None:
        self._token = token
        # directly: a proxy of the environment is for the internet
        self._client = httpx.Client(base_url=address, timeout=_SECONDS, trust_env=False)
        self._away_until = float("-inf")

    def submit(self, body: dict[str, Any]) -> None:
        """Submit a job.

        Raises:
            Exists: there is one of this id.
            RayAway: Ray does not answer, or does not take it; it may have taken it all the same.
        """
        answer = self._call("POST", "/api/jobs/", json=body, timeout=_SUBMIT_SECONDS)
        if answer.is_error:
            if "already exists" in answer.text:
                raise Exists
            raise _refusal(answer)

    def job(self, identifier: str) -> RayJob:
        """Return what Ray knows of a job.

        Raises:
            RayAway: Ray does not answer.
        """
        answer = self._call("GET", f"/api/jobs/{identifier}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return RayJob(Phase.UNKNOWN)
        return _read(_document(answer))

    def jobs(self) -> dict[str, RayJob]:
        """Return all jobs that Ray knows, by their ids, whoever has submitted them.

        Raises:
            RayAway: Ray does not answer.
        """
        listed = _content(self._call("GET", "/api/jobs/"))
        if not isinstance(listed, list):
            raise RayAway("it answers with something else than a list")
        # those without an id were not submitted: somebody has connected to Ray
        return {str(job["submission_id"]): _read(job) for job in listed if job.get("submission_id")}

    def printed(self, identifier: str) -> str:
        """Return what a job has printed so far, empty where Ray does not know it.

        Raises:
            NodeAway: its node does not answer.
            RayAway: Ray does not.
        """
        answer = self._call("GET", f"/api/jobs/{identifier}/logs")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return ""
        if answer.is_error:
            raise NodeAway(str(_refusal(answer)))
        return str(_document(answer).get("logs") or "")

    def stop(self, identifier: str) -> None:
        """Send a job SIGTERM, and after a while SIGKILL; nothing happens when it has ended or is not known.

        Raises:
            RayAway: Ray does not answer.
        """
        self._call("POST", f"/api/jobs/{identifier}/stop")

    def forget(self, identifier: str) -> None:
        """Remove what Ray keeps of a job that has ended; nothing happens when it has not, or is not known.

        Raises:
            RayAway: Ray does not answer.
        """
        self._call("DELETE", f"/api/jobs/{identifier}")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _call(self, method: str, path: str, **options: Any) -> httpx.Response:
        if time.monotonic() < self._away_until:
            raise RayAway("it did not answer a moment ago")
        token = self._token()
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        try:
            answer = self._client.request(method, path, headers=headers, **options)
        except httpx.HTTPError as error:
            self._away_until = time.monotonic() + _AWAY_SECONDS
            raise RayAway(str(error) or type(error).__name__) from error
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise RayAway(f"it answers {answer.status_code}: CONVSERVE_RAY_TOKEN is not its token")
        return answer


def _content(answer: httpx.Response) -> Any:
    if answer.is_error:
        raise _refusal(answer)
    try:
        return answer.json()
    except ValueError as error:
        raise RayAway("it answers with something else than JSON") from error


def _document(answer: httpx.Response) -> dict[str, Any]:
    document = _content(answer)
    if not isinstance(document, dict):
        raise RayAway("it answers with something else than an object")
    return document


def _refusal(answer: httpx.Response) -> RayAway:
    # the last line of a stack trace says what it was
    last = answer.text.strip().rpartition("\n")[2]
    return RayAway(f"it answers {answer.status_code}: {last[:500]}")


def _read(job: dict[str, Any]) -> RayJob:
    status, exit_status = job.get("status"), job.get("driver_exit_code")
    message = str(job.get("message") or "")
    if status == "PENDING":
        return RayJob(Phase.WAITING)
    if status == "RUNNING":
        return RayJob(Phase.RUNNING)
    if status in ("SUCCEEDED", "STOPPED") or exit_status is not None:
        return RayJob(Phase.ENDED, exit_status, message)
    return RayJob(Phase.LOST, None, message)
