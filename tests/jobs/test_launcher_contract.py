"""What the runner may rely on of every launcher: start, find, stop, kill."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.jobs.kinds import TRAINING
from app.jobs.launcher import Attempt, Launcher, NotStarted
from app.jobs.processes import LocalLauncher
from app.states import JobStatus
from tests.jobs.service import Service, until

LAUNCHERS: dict[str, Callable[[Service], Launcher]] = {
    "local": lambda service: LocalLauncher(service.artifacts, service.settings())
}


@pytest.fixture(params=LAUNCHERS)
def launcher(request: pytest.FixtureRequest, service: Service) -> Callable[[], Launcher]:
    """Make a launcher as a server does that starts; a second call is another server."""
    make = LAUNCHERS[request.param]
    return lambda: make(service)


def start(service: Service, launcher: Launcher) -> tuple[str, Attempt]:
    job_id = service.train()
    assert service.store.jobs.claim_next([TRAINING.name]) is not None
    return job_id, launcher.start(job_id, 1, threads=1)


def gone(attempt: Attempt) -> None:
    until(lambda: not attempt.alive(), "the end of the attempt")


def test_an_attempt_is_started_once_found_and_stopped(
    service: Service, launcher: Callable[[], Launcher]
) -> None:
    here = launcher()
    assert here.find("job_nobody") is None
    job_id, attempt = start(service, here)
    assert attempt.alive()
    found = here.find(job_id)
    assert found is not None
    assert found.alive()
    assert attempt.place
    with pytest.raises(NotStarted):
        here.start(job_id, 2, threads=1)
    attempt.stop()
    gone(attempt)
    # It has saved itself, and the job can go on.
    assert (service.job(job_id).status, service.job(job_id).attempt) == (JobStatus.QUEUED, 0)
    assert here.find(job_id) is None
    assert not found.alive()
    for late in (attempt, found):
        late.stop()
        late.kill()


def test_an_attempt_outlives_its_launcher_and_can_be_killed(
    service: Service, launcher: Callable[[], Launcher]
) -> None:
    job_id, attempt = start(service, launcher())
    service.wait_step(job_id, 1)
    found = launcher().find(job_id)
    assert found is not None
    found.kill()
    gone(found)
    gone(attempt)
    assert not found.starved()
    assert service.job(job_id).status is JobStatus.RUNNING, "what its death means is for the runner to say"
