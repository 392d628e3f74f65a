"""A server of several processes, for the tests of what that means."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from app.cli.launch import ServerProcess
from app.files.locks import is_locked
from tests.http.several import WaitFor, events


@pytest.fixture
def several(
    request: pytest.FixtureRequest, start: Callable[..., ServerProcess], wait_for: WaitFor
) -> Iterator[ServerProcess]:
    """A server of several processes, all of which answer: of two, or of as many as the parameter says."""
    count = getattr(request, "param", 2)
    several = start(WORKERS=str(count), LOG_FORMAT="json", MAX_JOBS="2", CORES="2")
    several.start()
    wait_for(lambda: len(events(several, "process_ready")) == count, "all processes")
    yield several
    several.kill()
    wait_for(lambda: not is_locked(several.data_dir / "server.lock"), "the end of all")


@pytest.fixture
def several_url(several: ServerProcess) -> str:
    return str(json.loads((several.data_dir / "server.json").read_text())["url"])
