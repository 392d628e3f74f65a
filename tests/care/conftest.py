"""An installation that nobody serves, and backups of it, for tests to break."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from app.care.archive import ArchiveWriter
from app.care.backup import back_up
from app.care.repository import Repository
from app.store import Store
from tests.care.installation import at, unpack


class Made(NamedTuple):
    """An installation that nobody serves, and a backup of it in a directory and in a file."""

    installation: Path
    repository: Path
    archive: Path


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """What all tests have a copy of."""
    folder = tmp_path_factory.mktemp("made")
    installation = unpack(folder)
    store = Store(installation)
    store.migrate()
    store.close()
    repository, archive = Repository.make(folder / "backups"), ArchiveWriter(folder / "backup.tar")
    for target in (repository, archive):
        back_up(at(installation), target)
        target.close()
    return Made(installation, repository.directory, archive.path)


@pytest.fixture
def installation(made: Made, tmp_path: Path) -> Path:
    """A data directory that nobody serves."""
    return Path(shutil.copytree(made.installation, tmp_path / "data"))


@pytest.fixture
def repository(made: Made, tmp_path: Path) -> Repository:
    """A directory with one backup of it."""
    return Repository(Path(shutil.copytree(made.repository, tmp_path / "backups")))


@pytest.fixture
def archive(made: Made, tmp_path: Path) -> Path:
    """A file with a backup of it."""
    return Path(shutil.copy(made.archive, tmp_path))
