"""Jobs on Ray whose nodes or head are lost, full, away or of another version."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.files import paths
from app.jobs.cluster import launcher as launcher_module
from app.jobs.cluster import versions as versions_module
from app.jobs.cluster.launcher import SILENT_SECONDS, RayLauncher
from app.jobs.kinds import TRAINING
from app.jobs.launcher import WAITING_CORES, NotStarted
from app.jobs.processes import CORES_VARIABLE
from app.jobs.runner import Runner
from app.settings import SettingsError, load_settings
from app.states import JobStatus
from app.web.answers.logs import log_of
from tests.jobs.ray_stand_in import RayStandIn, ray_stand_in
from tests.jobs.service import Clock, Service, pause, until

# what both launchers do is in the contract: most of what is here is slow


@pytest.fixture
def ray(tmp_path: Path) -> Iterator[RayStandIn]:
    with ray_stand_in(tmp_path) as stand_in:
        yield stand_in


@pytest.fixture
def run(service: Service, ray: RayStandIn) -> Iterator[Callable[..., tuple[Runner, Clock]]]:
    """Start a runner on the stand-in, as a server does when it starts, with a clock that can be put forward."""
    launchers = []

    def start(**changes: Any) -> tuple[Runner, Clock]:
        settings = service.settings(**ray.settings(), grace_seconds=2.0, **changes)
        clock = Clock()
        launcher = RayLauncher(service.store, service.artifacts, settings, lambda: ray.token, clock)
        launchers.append(launcher)
        runner = Runner(service.store, service.artifacts, settings, launcher, clock)
        clock.wake = runner.wake
        service.runners.append(runner)
        runner.start()
        return runner, clock

    yield start
    for runner in service.runners:
        runner.abandon()
    for launcher in launchers:
        launcher.close()


@pytest.mark.slow
def test_ray_forgets_what_ended_a_while_ago(service: Service, ray: RayStandIn) -> None:
    ahead = [0.0]
    settings = service.settings(**ray.settings())
    launcher = RayLauncher(
        service.store, service.artifacts, settings, lambda: ray.token, lambda: time.monotonic() + ahead[0]
    )
    for number in (1, 2):
        ray.submit(f"job_x-{number}", "echo over")
        until(lambda number=number: launcher.find("job_x", number) is None, "its end")
        launcher.tidy("job_x", number)
        assert f"job_x-{number}" in ray.jobs
        ahead[0] += 60.0
    assert list(ray.jobs) == ["job_x-2"]
    launcher.close()


@pytest.mark.slow
def test_a_server_keeps_and_lets_go_of_what_another_has_left_with_ray(
    service: Service, run: Callable[..., tuple[Runner, Clock]], ray: RayStandIn
) -> None:
    ended, lost = service.train(epochs=40), service.train()
    first, _ = run(max_jobs=2)
    service.wait_step(ended, 1)
    service.wait_step(lost, 1)
    first.stop(60.0)
    # both are over while there is no server
    service.wait_end(ended)
    until(lambda: ray.jobs[f"{ended}-1"].document()["status"] == "SUCCEEDED", "the end of the process")
    service.store.jobs.request_cancel(lost)
    service.wait_end(lost)
    ray.lose(f"{lost}-1")
    ray.submit("of-somebody-else-1", "echo over")
    ray.submit("of-somebody-else", "echo over")
    _, clock = run(max_jobs=2)
    until(lambda: service.artifacts.exists(paths.log(ended, 1)), "the log")
    assert "done" in service.log(ended, 1)

    def forgotten() -> bool:
        # who is seen off next takes along those that were found a while ago
        clock.jump(60.0)
        service.wait_end(service.train(epochs=1))
        return not {f"{ended}-1", f"{lost}-1"} & set(ray.jobs)

    until(forgotten, "that Ray has forgotten them")
    assert {"of-somebody-else-1", "of-somebody-else"} <= set(ray.jobs)
    assert service.log(ended, 1).count(f"attempt 1 of training {ended}") == 1


@pytest.mark.slow
def test_what_a_node_tells_late_is_kept(
    service: Service, run: Callable[..., tuple[Runner, Clock]], ray: RayStandIn
) -> None:
    job_id = service.train(epochs=1)
    _, clock = run()
    service.wait_step(job_id, 1)
    ray.silent = True
    service.wait_end(job_id)
    asked = len(ray.asked)
    until(lambda: f"/api/jobs/{job_id}-1/logs" in ray.asked[asked:], "that its node is asked")
    assert not service.artifacts.exists(paths.log(job_id, 1))
    ray.silent = False

    def kept() -> bool:
        clock.jump(5.0)
        return service.artifacts.exists(paths.log(job_id, 1))

    until(kept, "the log")
    assert "done" in service.log(job_id, 1)


def test_an_attempt_is_not_tidied_while_ray_is_away(service: Service, ray: RayStandIn) -> None:
    settings = service.settings(**ray.settings())
    launcher = RayLauncher(service.store, service.artifacts, settings, lambda: ray.token)
    ray.submit("job_x-1", "echo over")
    until(lambda: launcher.find("job_x", 1) is None, "its end")
    ray.away = True
    assert not launcher.tidy("job_x", 1)
    ray.away = False
    until(lambda: launcher.tidy("job_x", 1), "that Ray answers")
    launcher.close()


@pytest.mark.slow
def test_ray_is_asked_for_the_log_of_no_attempt_that_cannot_be(
    service: Service, run: Callable[..., tuple[Runner, Clock]], ray: RayStandIn
) -> None:
    job_id = service.train(epochs=100)
    run()
    service.wait_step(job_id, 1)
    launcher = RayLauncher(
        service.store, service.artifacts, service.settings(**ray.settings()), lambda: ray.token
    )

    def shown() -> tuple[str, set[str]]:
        before = len(ray.asked)
        text = log_of(service.store.jobs.state(job_id), service.artifacts, launcher)
        return text, {path for path in ray.asked[before:] if path.endswith("/logs")}

    text, asked = shown()
    assert f"attempt 1 of training {job_id}" in text
    assert asked == {f"/api/jobs/{job_id}-1/logs"}
    service.wait_end(job_id)
    until(lambda: service.artifacts.exists(paths.log(job_id, 1)), "its log")
    text, asked = shown()
    assert "done" in text
    assert asked == set()
    launcher.close()


@pytest.mark.slow
def test_a_job_goes_on_while_servers_come_and_go(
    service: Service, run: Callable[..., tuple[Runner, Clock]], ray: RayStandIn
) -> None:
    job_id = service.train(epochs=40)
    first, _ = run()
    service.wait_step(job_id, 3)
    pid = service.worker(job_id)
    first.stop(60.0)
    step = service.job(job_id).progress["step"]
    service.wait_step(job_id, step + 3)
    run()
    job = service.wait_end(job_id)
    assert (job.status, job.attempt, job.error) == (JobStatus.SUCCEEDED, 1, None)
    until(lambda: service.artifacts.exists(paths.log(job_id, 1)), "its log")
    assert f"process {pid}" in service.log(job_id, 1)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["node", "head"])
def test_what_ray_has_lost_lives_as_long_as_it_gives_signs(
    service: Service, run: Callable[..., tuple[Runner, Clock]], ray: RayStandIn, how: str
) -> None:
    job_id = service.train()
    _, clock = run()
    service.wait_step(job_id, 1)
    pid = service.worker(job_id)
    if how == "node":
        ray.lose(f"{job_id}-1")
    else:
        (process,) = ray.restart()
    for _ in range(3):
        step = service.job(job_id).progress["step"]
        service.wait_step(job_id, step + 1)
        clock.jump(SILENT_SECONDS / 2)
    assert service.job(job_id).attempt == 1
    os.kill(pid, signal.SIGKILL)
    if how == "head":
        process.wait()
    clock.jump(0.0)
    clock.pass_by(SILENT_SECONDS * 2)
    until(lambda: service.job(job_id).attempt == 2, "the next attempt")
    service.wait_step(job_id, service.job(job_id).progress["step"] + 1)


@pytest.mark.slow
def test_a_lost_process_that_hung_writes_nothing_any_more(
    service: Service, run: Callable[..., tuple[Runner, Clock]], ray: RayStandIn
) -> None:
    job_id = service.train()
    _, clock = run()
    service.wait_step(job_id, 1)
    pid = service.worker(job_id)
    (process,) = (job.process for job in ray.jobs.values())
    assert process is not None
    pause(service.data_dir, pid)
    ray.lose(f"{job_id}-1")
    clock.jump(0.0)
    clock.pass_by(SILENT_SECONDS * 2)
    until(lambda: service.job(job_id).attempt == 2, "the next attempt")
    # It does not wait for the lock that the other still has.
    service.wait_step(job_id, service.job(job_id).progress["step"] + 1)
    os.kill(pid, signal.SIGCONT)
    assert process.wait(60) == 0
    assert service.job(job_id).attempt == 2


@pytest.mark.slow
def test_while_ray_is_away_nothing_is_given_up_and_nothing_started(
    service: Service,
    run: Callable[..., tuple[Runner, Clock]],
    ray: RayStandIn,
    caplog: pytest.LogCaptureFixture,
) -> None:
    job_id = service.train()
    _, clock = run(max_jobs=2)
    service.wait_step(job_id, 1)
    ray.away = True
    until(lambda: "ray_away" in caplog.messages, "that it is seen")
    waiting = service.train()
    until(lambda: "worker_not_started" in caplog.messages, "a try")
    clock.pass_by(SILENT_SECONDS * 2)
    assert (service.job(job_id).status, service.job(job_id).attempt) == (JobStatus.RUNNING, 1)
    assert service.job(waiting).attempt <= 1
    ray.away = False
    service.wait_step(waiting, 1)
    assert (service.job(job_id).attempt, service.job(waiting).attempt) == (1, 1)


@pytest.mark.slow
def test_a_job_waits_for_room_as_long_as_that_takes(
    service: Service, run: Callable[..., tuple[Runner, Clock]], ray: RayStandIn
) -> None:
    ray.full = True
    job_id = service.train(epochs=1)
    _, clock = run(heartbeat_timeout=20.0)
    service.wait_status(job_id, JobStatus.RUNNING)
    until(lambda: f"{job_id}-1" in ray.jobs, "the Ray job")
    for _ in range(4):
        clock.pass_by(20.0)
    assert not ray.jobs[f"{job_id}-1"].stopping
    ray.make_room()
    job = service.wait_end(job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)


@pytest.mark.slow
def test_a_job_that_waits_for_room_is_cancelled_at_once(
    service: Service, run: Callable[..., tuple[Runner, Clock]], ray: RayStandIn
) -> None:
    ray.full = True
    job_id = service.train()
    run()
    until(lambda: f"{job_id}-1" in ray.jobs, "the Ray job")
    service.store.jobs.request_cancel(job_id)
    job = service.wait_end(job_id)
    assert (job.status, job.error) == (JobStatus.CANCELLED, None)
    ray.make_room()
    until(lambda: ray.jobs[f"{job_id}-1"].document()["status"] != "RUNNING", "the end of what began too late")
    assert service.job(job_id).progress == {}


@pytest.mark.slow
def test_a_node_of_another_version_is_refused_by_name(
    service: Service,
    run: Callable[..., tuple[Runner, Clock]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = versions_module.versions()
    monkeypatch.setattr(launcher_module, "versions", lambda: own | {"Python": "3.99"})
    job_id = service.train()
    run()
    job = service.wait_end(job_id)
    assert (job.status, job.attempt) == (JobStatus.FAILED, 1)
    assert job.error is not None
    assert job.error["code"] == "node_refused"
    assert f"has Python {own['Python']}, the server has Python 3.99" in job.error["message"]
    assert "convserve" not in job.error["message"]


@pytest.mark.slow
def test_what_kept_a_worker_from_writing_is_told_by_its_status(service: Service, ray: RayStandIn) -> None:
    settings = service.settings(**ray.settings())
    launcher = RayLauncher(service.store, service.artifacts, settings, lambda: ray.token)
    for word, status in (("full", 74), ("unavailable", 75), (None, 1)):
        ray.submit(f"job_{word}-1", f"exit {status}")
        until(lambda word=word: launcher.find(f"job_{word}", 1) is None, "its end")
        assert launcher.paused(f"job_{word}", 1) == word
    launcher.close()


def test_secrets_stay_out_of_what_ray_is_told(service: Service, ray: RayStandIn) -> None:
    settings = service.settings(**ray.settings(), api_key="do-not-pass-me-on")
    launcher = RayLauncher(service.store, service.artifacts, settings, lambda: ray.token)
    ray.full = True
    job_id = service.train()
    assert service.store.jobs.claim_next([TRAINING.name]) is not None
    launcher.start(job_id, 1, threads=3, memory=200_000_000)
    body = ray.jobs[f"{job_id}-1"].body
    assert (body["entrypoint_num_cpus"], body["entrypoint_memory"]) == (2.98, 200_000_000)
    assert body["runtime_env"]["env_vars"][CORES_VARIABLE] == "3"
    text = json.dumps(body)
    assert "CONVSERVE_DATA_DIR" in text
    assert "do-not-pass-me-on" not in text
    assert ray.token not in text
    launcher.close()


def test_two_jobs_that_wait_and_any_other_fit_where_one_does(service: Service, ray: RayStandIn) -> None:
    launcher = RayLauncher(
        service.store, service.artifacts, service.settings(**ray.settings()), lambda: ray.token
    )
    ray.full = True
    asked = []
    for threads in (WAITING_CORES, WAITING_CORES, 1):
        job_id = service.train()
        assert service.store.jobs.claim_next([TRAINING.name]) is not None
        launcher.start(job_id, 1, threads=threads)
        asked.append(ray.jobs[f"{job_id}-1"].body["entrypoint_num_cpus"])
    assert min(asked) > 0, "else Ray has it run on its head"
    assert sum(asked) <= 1
    launcher.close()


def test_a_wrong_token_starts_nothing_and_says_so(service: Service, ray: RayStandIn) -> None:
    settings = service.settings(**ray.settings())
    launcher = RayLauncher(service.store, service.artifacts, settings, lambda: "wrong")
    with pytest.raises(NotStarted, match="CONVSERVE_RAY_TOKEN is not its token"):
        launcher.start("job_x", 1, threads=1)
    launcher.close()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"launcher": "ray"}, "CONVSERVE_RAY_ADDRESS: use the address of Ray's REST interface"),
        ({"launcher": "ray", "ray_address": "ray://head:10001"}, "CONVSERVE_RAY_ADDRESS"),
        (
            {"launcher": "ray", "ray_address": "http://head:8265"},
            "CONVSERVE_RAY_TOKEN: a Ray that others reach",
        ),
        ({"launcher": "slurm"}, "CONVSERVE_LAUNCHER: use 'local' or 'ray'"),
    ],
)
def test_settings_that_cannot_be_used(given: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        load_settings(**given)


def test_settings_that_can_be_used() -> None:
    assert load_settings(launcher="ray", ray_address="http://127.0.0.1:8265").ray_token is None
    assert load_settings(launcher="ray", ray_address="https://head", ray_token="x").worker_threads == 1  # noqa: S106
