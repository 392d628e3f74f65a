"""Readiness is found once for all who ask at a time, and says so when a look does not come back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.files.artifacts import LocalArtifacts
from app.health import readiness
from app.health.readiness import Readiness
from app.jobs.duties import Duties
from app.metrics.metrics import Metrics
from app.settings import Settings
from app.store import Store
from tests.jobs.service import until


class Runs:
    """Duties that somebody has, as they say themselves."""

    def __init__(self) -> None:
        self.seconds: float | None = 0.0

    def silent(self) -> float | None:
        return self.seconds


class Slow(Store):
    """A store whose disk answers when it is let."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir)
        self.looks = 0
        self.answers = threading.Event()
        self.answers.set()

    def probe(self) -> None:
        self.looks += 1
        self.answers.wait()
        super().probe()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Slow]:
    store = Slow(tmp_path)
    store.migrate()
    yield store
    store.answers.set()
    store.close()


def made(store: Store, runs: Runs, tmp_path: Path, stopping: Callable[[], bool] = lambda: False) -> Readiness:
    duties: Duties = runs  # type: ignore[assignment]
    settings = Settings(data_dir=tmp_path, min_free_bytes=0)
    files = LocalArtifacts(tmp_path)
    return Readiness(store, files, duties, settings, Metrics.alone(), stopping, fresh=0.0)


@pytest.mark.parametrize(
    ("silent", "words"),
    [(None, "no process runs jobs"), (75.0, "has not come back from its last look for 75 s")],
)
def test_a_runner_that_is_gone_or_hangs(
    store: Slow, tmp_path: Path, silent: float | None, words: str
) -> None:
    runs = Runs()
    looks = made(store, runs, tmp_path)
    assert looks.check().faults == ()
    runs.seconds = silent
    (fault,) = looks.check().faults
    assert fault.parameter == "runner"
    assert words in fault.detail
    assert fault.hint is not None


def test_one_looks_and_the_others_are_told_the_same(store: Slow, tmp_path: Path) -> None:
    looks = made(store, Runs(), tmp_path)
    store.answers.clear()
    with ThreadPoolExecutor() as threads:
        first = threads.submit(looks.check)
        until(lambda: store.looks == 1, "the look")
        assert looks.check().faults == (), "what was found last"
        assert not first.done()
        store.answers.set()
        assert first.result().faults == ()
    assert store.looks == 1


def test_a_disk_that_does_not_answer_is_not_waited_for(
    store: Slow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = made(store, Runs(), tmp_path)
    store.answers.clear()
    with ThreadPoolExecutor() as threads:
        first = threads.submit(looks.check)
        until(lambda: store.looks == 1, "the look")
        monkeypatch.setattr(readiness, "_STUCK_SECONDS", 0.0)
        (fault,) = looks.check().faults
        assert "has not answered for" in fault.detail
        store.answers.set()
        first.result()
    assert looks.check().faults == ()


def test_one_that_begins_to_stop_during_a_look_says_that_and_nothing_else(
    store: Slow, tmp_path: Path
) -> None:
    runs, stopping = Runs(), threading.Event()
    looks = made(store, runs, tmp_path, stopping.is_set)
    store.answers.clear()
    with ThreadPoolExecutor() as threads:
        first = threads.submit(looks.check)
        until(lambda: store.looks == 1, "the look")
        stopping.set()
        runs.seconds = None
        store.answers.set()
        assert [(fault.parameter, fault.detail) for fault in first.result().faults] == [
            ("server", "the server is about to stop")
        ]
