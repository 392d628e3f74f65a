"""A backup that was taken while everything went on opens, is whole, and goes on where it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from app.care.backup import BackedUp, back_up
from app.care.check import check
from app.care.repository import Repository
from app.care.restore import restore
from app.cli.launch import ServerProcess
from app.settings import Settings
from tests.care.installation import SETTINGS, at, ended, fill, life, predicted, sha256, train_two
from tests.cluster.postgres import execute
from tests.fixtures.make_data_directory import train, wait

BUILT_IN, OWN = ("lenet-5-digits@1",), ("shades@1", "shades@2")
"""Models that an alias stands for in turn."""


class Living(NamedTuple):
    """An installation that is in use."""

    settings: Settings
    url: str
    http: httpx.Client
    dataset: str


@pytest.fixture(scope="module", params=["local", pytest.param("shared", marks=pytest.mark.cluster)])
def living(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Living]:
    """One with all of it in its data directory, or with rows in PostgreSQL and files in an object store."""
    folder = tmp_path_factory.mktemp("living")
    given = {}
    if request.param == "shared":
        postgres = request.getfixturevalue("postgres")
        execute(postgres.url("postgres"), "CREATE DATABASE living")
        given = request.getfixturevalue("s3").settings("living") | {"DATABASE_URL": postgres.url("living")}
    with (
        ServerProcess(folder / "data", folder / "log", SETTINGS | given) as url,
        httpx.Client(base_url=url, timeout=60, trust_env=False) as http,
    ):
        settings = Settings(
            data_dir=folder / "data", **{name.lower(): value for name, value in given.items()}
        )
        yield Living(settings, url, http, fill(http))


def back_up_while_alive(
    living: Living, repository: Repository, models: tuple[str, ...], backups: int, epochs: int
) -> tuple[str, list[BackedUp]]:
    """Write backups while a job runs and all else goes on; return the model that the job makes, and the backups."""
    http = living.http
    job: str = train(http, living.dataset, [12, 12, 1], epochs=epochs, batch_size=1)
    address = f"/v1/training-jobs/{job}"
    wait(lambda: (http.get(address).json().get("progress") or {}).get("epoch"))
    with life(living.url, models):
        written = []
        for _ in range(backups):
            written.append(back_up(living.settings, repository))
            assert check(living.settings).findings == [], "nothing that comes and goes looks wrong"
        assert not http.get(address).json()["finished_at"], "the job is to run meanwhile"
    assert [entry.manifest.damaged for entry in written] == [()] * backups
    model: str = ended(http, job)["model_id"]
    return model, written


def check_goes_on(process: ServerProcess, living: Living, models: tuple[str, ...], model: str) -> None:
    """Start a server on a restored directory: it answers as the original does, and its job ends in the same bytes."""
    with process as url, httpx.Client(base_url=url, timeout=60, trust_env=False) as http:
        before = [predicted(living.http, name) for name in models]
        assert [predicted(http, name) for name in models] == before
        assert predicted(http, f"{models[0].partition('@')[0]}@live") in before
        job = living.http.get(f"/v1/models/{model}").json()["training_job_id"]
        assert ended(http, job)["model_id"] == model
        assert sha256(http, model) == sha256(living.http, model)


@pytest.mark.slow
def test_a_backup_of_a_living_installation_goes_on(
    living: Living, tmp_path: Path, start: Callable[..., ServerProcess]
) -> None:
    repository = Repository.make(tmp_path / "backups")
    model, written = back_up_while_alive(living, repository, BUILT_IN, backups=2, epochs=70)
    done = restore(repository, written[0].manifest, tmp_path / "data")
    assert check(at(tmp_path / "data")).findings == []
    assert done.requeued
    check_goes_on(start("data", **SETTINGS), living, BUILT_IN, model)


@pytest.mark.slow
def test_backups_one_after_another_of_a_living_installation_go_on(
    living: Living, tmp_path: Path, start: Callable[..., ServerProcess]
) -> None:
    train_two(living.http, living.dataset)
    repository = Repository.make(tmp_path / "backups")
    model, written = back_up_while_alive(living, repository, OWN, backups=4, epochs=160)
    for number, entry in enumerate(written):
        name = f"data-{number}"
        restore(repository, entry.manifest, tmp_path / name)
        assert check(at(tmp_path / name)).findings == []
        check_goes_on(start(name, **SETTINGS), living, OWN, model)
