"""What the runner may rely on of every launcher."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from app.jobs.cluster.launcher import RayLauncher
from app.jobs.processes import LocalLauncher
from tests.jobs.launcher_contract import CHECKS, MakeLauncher
from tests.jobs.ray_stand_in import ray_stand_in
from tests.jobs.service import Service


def local(service: Service, folder: Path, stack: ExitStack) -> MakeLauncher:
    return lambda: LocalLauncher(service.artifacts, service.settings())


def ray(service: Service, folder: Path, stack: ExitStack) -> MakeLauncher:
    stand_in = stack.enter_context(ray_stand_in(folder))
    settings = service.settings(**stand_in.settings(), grace_seconds=5.0)

    def make() -> RayLauncher:
        launcher = RayLauncher(service.store, service.artifacts, settings, lambda: stand_in.token)
        stack.callback(launcher.close)
        return launcher

    return make


@pytest.fixture
def make(request: pytest.FixtureRequest, service: Service, tmp_path: Path) -> Iterator[MakeLauncher]:
    with ExitStack() as stack:
        yield request.param(service, tmp_path, stack)


def cases() -> Iterator[Any]:
    """Yield all that is checked of processes; of Ray one check is quick: tests/cluster/test_ray.py has the real one."""
    for launcher in (local, ray):
        for number, check in enumerate(CHECKS):
            name = f"{launcher.__name__}-{check.__name__.removeprefix('check_')}"
            marks = [pytest.mark.slow] if launcher is ray and number else []
            yield pytest.param(launcher, check, id=name, marks=marks)


@pytest.mark.parametrize(("make", "check"), list(cases()), indirect=["make"])
def test_what_holds_of_every_launcher(
    service: Service, make: MakeLauncher, check: Callable[[Service, MakeLauncher], None]
) -> None:
    check(service, make)
