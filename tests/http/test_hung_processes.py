"""Serving processes that hang, and those that their parent leaves behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from app.cli.launch import ServerProcess
from app.files.locks import is_locked
from app.processes import member
from app.processes.board import BEAT_SECONDS, Pulse
from app.processes.listener import bind
from app.services import Services
from app.settings import SettingsError, load_settings
from tests.http.several import (
    LONG,
    Connect,
    WaitFor,
    events,
    get,
    holder,
    is_alive,
    processes,
    submit,
    wait_end,
)
from tests.jobs.service import pause

LEFT_BEHIND = """
import fcntl, os, socket, sys, time
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
lock.write(f"{sys.argv[2]}\\n{os.getpid()}\\n")
lock.flush()
with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    time.sleep(600)
"""
CHILD = """
import socket, sys, time
sys.platform = "darwin"
from app.processes.parent import end_with_parent
end_with_parent(0, socket.socket(fileno=int(sys.argv[1])))
print("begun", flush=True)
while True:
    time.sleep(0.001)
"""


@pytest.mark.slow
def test_one_that_hangs_is_replaced(
    several: ServerProcess, several_url: str, connect: Connect, wait_for: WaitFor
) -> None:
    """It runs the jobs, too: another takes that over long before."""
    number = holder(several)
    hung = processes(several)[number]
    with connect(several_url) as client:
        running = submit(client, LONG)
        wait_for(lambda: get(client, f"/v1/training-jobs/{running}")["status"] == "running", "a start")
    pause(several.data_dir, hung)
    wait_for(lambda: len(events(several, "process_ready")) == 3, "the one in its place")
    assert not is_alive(hung)
    (line,) = events(several, "process_hangs")
    assert (line["process"], line["number"]) == (hung, number)
    (line,) = events(several, "process_ended")
    assert (line["process"], line["status"]) == (hung, -signal.SIGKILL)
    assert "no sign of life" in line["reason"]
    with connect(several_url) as client:
        job = get(client, f"/v1/training-jobs/{running}")
        assert (job["status"], job["attempt"]) == ("running", 1)
        client.post(f"/v1/training-jobs/{running}/cancel")
        assert wait_end(client, running, wait_for)["status"] == "cancelled"
    several.stop()


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere what is stopped cannot be ended with its parent"
)
def test_one_that_is_stopped_does_not_outlive_its_parent(
    several: ServerProcess, several_url: str, connect: Connect
) -> None:
    stopped = processes(several)[1]
    pause(several.data_dir, stopped)
    several.kill()
    port = urlsplit(several_url).port or 0
    log = several.data_dir.with_name("second.log")
    second = ServerProcess(several.data_dir, log, {"LOG_FORMAT": "json"}, port=port)
    try:
        # on the same port and in the same directory, at once
        with second as url, connect(url) as client:
            assert url == several_url
            assert not is_alive(stopped)
            job = submit(client)
            assert get(client, f"/v1/training-jobs/{job}")["id"] == job
    finally:
        with suppress(ProcessLookupError):
            os.kill(stopped, signal.SIGKILL)


def test_where_there_is_no_such_call_it_ends_when_it_is_continued(
    begin: Callable[..., subprocess.Popen[bytes]],
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [sys.executable, "-c", CHILD, str(theirs.fileno())]
        child = begin(command, pass_fds=[theirs.fileno()], stdout=subprocess.PIPE)
        assert child.stdout is not None
        assert child.stdout.readline() == b"begun\n"
        os.kill(child.pid, signal.SIGSTOP)
    os.kill(child.pid, signal.SIGCONT)
    assert child.wait(60) == 1


def test_who_was_left_behind_is_named(
    begin: Callable[..., subprocess.Popen[str]],
    start: Callable[..., ServerProcess],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone = begin([sys.executable, "-c", ""])
    gone.wait()
    arguments: list[Any] = [sys.executable, "-c", LEFT_BEHIND, tmp_path / member.LOCK_FILE, gone.pid]
    left = begin([*map(str, arguments)], stdout=subprocess.PIPE, text=True)
    assert left.stdout is not None
    port = int(left.stdout.readline())
    monkeypatch.setattr(member, "_ORPHAN_SECONDS", 0.2)
    settings = load_settings(data_dir=tmp_path, port=port)
    named = rf"process {gone.pid} left when it was killed; `kill -KILL {left.pid}`"
    with pytest.raises(SettingsError, match=f"port {port}.*{named}"):
        bind(settings)
    with pytest.raises(SettingsError, match=named):
        Services.open(settings)
    left.kill()
    left.wait()
    assert not is_locked(tmp_path / member.LOCK_FILE)
    bind(settings).close()


def test_silence_counts_only_while_the_parent_looks() -> None:
    pulse = Pulse(100.0)
    assert pulse.look(0, 101.0) == 1.0
    assert not pulse.begun
    assert pulse.look(7, 102.0) == 0.0
    assert pulse.begun
    assert [pulse.look(7, now) for now in (103.0, 104.0)] == [1.0, 2.0]
    # the machine slept for an hour, parent and child alike
    assert pulse.look(7, 3704.0) == 2.0 + 2 * BEAT_SECONDS
    assert pulse.look(8, 3705.0) == 0.0
