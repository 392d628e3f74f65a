"""No installation uses the files of another, or cleans them up."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import obstore
import pytest

from app.care.check import check
from app.care.errors import CareError
from app.cli.launch import LaunchError, ServerProcess
from app.files import paths
from app.files.artifacts import LocalArtifacts
from app.jobs.leftovers import SAFE
from app.jobs.ownership import MARK
from app.processes.member import Member
from app.settings import Settings
from app.store import Store
from app.store.records import DatasetRecord
from tests.cluster.postgres import PostgresServer
from tests.cluster.seaweed import S3Server

pytestmark = pytest.mark.cluster

Start = Callable[..., ServerProcess]


def refuses(service: ServerProcess, words: str) -> None:
    """Start a server that says why it does not, and ends with a status other than 0."""
    with pytest.raises(LaunchError, match=r"ended with status [1-9]") as raised:
        service.start()
    assert words in str(raised.value)
    assert "Traceback" not in str(raised.value)


def add_dataset(address: str, folder: Path, identifier: str) -> None:
    """Have a database name a data set."""
    with closing(Store(folder, address)) as store:
        store.migrate()
        store.datasets.create(DatasetRecord(identifier, "letters"))


def test_files_of_another_installation_are_refused_and_stay(
    s3: S3Server, prefix: str, postgres: PostgresServer, database_url: str, start: Start, tmp_path: Path
) -> None:
    first = start("first", DATABASE_URL=database_url, **s3.settings(prefix))
    with first:
        pass
    files = s3.store(prefix)
    obstore.put(files, "datasets/ds_theirs/segment-0001/images.npy", b"of the first")
    before = s3.names(prefix)
    with postgres.connect() as connection:
        connection.execute("CREATE DATABASE another_installation")
    other = postgres.url("another_installation")
    try:
        # it has rows, and none of them names those files
        add_dataset(other, tmp_path, "ds_ours")
        second = start("second", DATABASE_URL=other, **s3.settings(prefix))
        refuses(second, "CONVSERVE_ARTIFACTS_URL names holds the files of another database")
        given = {name.lower(): value for name, value in s3.settings(prefix).items()}
        wrong = Settings(data_dir=tmp_path, database_url=other, **given)
        for repair in (False, True):
            with pytest.raises(CareError, match="holds the files of another database"):
                check(wrong, repair=repair)
        # nor where they bear no mark yet, as earlier versions left them
        obstore.delete(files, MARK)
        refuses(second, "CONVSERVE_ARTIFACTS_URL names holds the files of another database")
        assert s3.names(prefix) == [name for name in before if name != MARK]
        obstore.put(files, "datasets/ds_ours/segment-0001/images.npy", b"of the second")
        with second:
            assert MARK in s3.names(prefix)
        refuses(first, "CONVSERVE_ARTIFACTS_URL names holds the files of another database")
        # and no data directory with the files of another database is taken for ours
        third = start("third", DATABASE_URL=database_url, **s3.settings(f"{prefix}-new"))
        shutil.copytree(second.data_dir, third.data_dir)
        refuses(third, f"the data directory {third.data_dir} holds the files of another database")
    finally:
        with postgres.connect() as connection:
            connection.execute("DROP DATABASE another_installation WITH (FORCE)")


def test_a_data_directory_of_a_file_is_not_cleaned_up_for_a_new_database(
    database_url: str, start: Start
) -> None:
    file = start("data")
    with file:
        pass
    LocalArtifacts(file.data_dir).write(f"{paths.dataset('ds_old')}/segment-0001/images.npy", b"precious")
    # so long ago that a server of a database that names none removes it
    then = time.time() - SAFE - 1
    os.utime(file.data_dir / paths.dataset("ds_old"), (then, then))
    service = start("data", DATABASE_URL=database_url)
    refuses(service, "CONVSERVE_DATA_DIR")
    assert (service.data_dir / paths.dataset("ds_old") / "segment-0001" / "images.npy").exists()


def test_machines_of_one_name_are_told_apart(tmp_path: Path) -> None:
    """Clones of a machine have its name, and the same directories; each has been started by itself."""
    place = tmp_path / "data"
    place.mkdir()
    server = Member.alone(place)
    first = server.owner(place, alone=False)
    server.leave()
    again = Member.alone(place)
    assert again.owner(place, alone=False) == first, "it takes back its lease at once"
    again.leave()
    shutil.rmtree(place)
    clone = Member.alone(place)
    assert clone.owner(place, alone=False) != first
    clone.leave()
