"""Who runs jobs where several servers have one database: one of them, and another when it dies or hangs."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app.cli.launch import ServerProcess
from app.store import Store
from tests.cluster.writers import model
from tests.http.several import events

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
FREEZE = """
import os, signal, sys
from pathlib import Path
from app.store import Store
from tests.cluster.writers import model

def freeze(stored):
    print("frozen", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)

store = Store(Path(sys.argv[1]), sys.argv[2])
store.under(store.leases.take("duties", "first", 1.0)).models.create(model("frozen"), freeze)
"""


def test_one_that_is_frozen_in_the_middle_of_a_write_keeps_nobody_from_its_lease(
    database_url: str,
    tmp_path: Path,
    begin: Callable[..., subprocess.Popen[str]],
    wait_for: Callable[..., Any],
) -> None:
    with closing(Store(tmp_path, database_url)) as store:
        store.migrate()
        command = [sys.executable, "-c", FREEZE, str(tmp_path), database_url]
        first = begin(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert first.stdout is not None
        assert first.stdout.readline() == "frozen\n"
        taken = wait_for(lambda: store.leases.take("duties", "second", 600), "the lease")
        assert taken.term == 2
        store.under(taken).models.create(model("another"))
        first.send_signal(signal.SIGCONT)
        first.communicate()
        assert first.returncode != 0
        assert [record.name for record in store.models.page(10).data] == ["another"]


def test_of_two_servers_one_runs_jobs_and_the_other_when_it_dies(
    database_url: str, start: Callable[..., ServerProcess], wait_for: Callable[..., Any]
) -> None:
    one, two = (start(name, DATABASE_URL=database_url, LOG_FORMAT="json") for name in ("one", "two"))
    one.start()
    two.start()
    assert [len(events(each, "duties_taken")) for each in (one, two)] == [1, 0]
    one.kill()
    wait_for(lambda: events(two, "duties_taken"), "the other")
    (line,) = events(two, "duties_taken")
    assert (line["term"], str(two.data_dir) in line["owner"]) == (2, True)
    two.stop()
