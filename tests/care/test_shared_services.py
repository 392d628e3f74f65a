"""What looks after a data directory looks after PostgreSQL and an object store just as well, in any combination."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import obstore
import pytest

from app.care.archive import Archive, ArchiveWriter
from app.care.backup import back_up
from app.care.check import check
from app.care.errors import BadBackup, CareError
from app.care.installation import open_database, open_store
from app.care.manifest import Entry
from app.care.repository import Repository
from app.care.restore import choose, open_source
from app.care.restore_shared import restore_shared
from app.files import paths
from app.files.artifacts import Artifacts, Written
from app.files.bucket.opening import open_artifacts
from app.files.locks import FileLock
from app.jobs.duties import LEASE
from app.jobs.ownership import bear_mark
from app.settings import Settings
from app.store.database import DATABASE_NAME
from tests.care.installation import as_json, at, restored, run, unpack
from tests.care.test_backups import content
from tests.care.test_hostile_backups import poisoned
from tests.care.test_migrating_rows import rows
from tests.cluster.seaweed import store_of

pytestmark = pytest.mark.cluster


@pytest.fixture(params=["postgres", "bucket", "both"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """The settings of an installation with its rows, its files or both in shared services, where nothing is yet."""
    given = {}
    if request.param != "bucket":
        given["database_url"] = request.getfixturevalue("database_url")
    if request.param != "postgres":
        server, prefix = request.getfixturevalue("s3"), request.getfixturevalue("prefix")
        given |= {name.lower(): value for name, value in server.settings(prefix).items()}
    return Settings(data_dir=tmp_path / "shared", **given)


@pytest.fixture
def shared(empty: Settings, archive: Path) -> Settings:
    """Such an installation, restored from a backup of a data directory."""
    restore_from(archive, empty)
    return empty


@pytest.fixture
def set_up(shared: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Such an installation, which commands look after."""
    for name, value in shared.environment(secrets=True).items():
        monkeypatch.setenv(name, value)
    return shared


def restore_from(source: Path, settings: Settings) -> None:
    opened = open_source(source)
    restore_shared(opened, opened.manifest(choose(opened, None)), settings)


def names(settings: Settings) -> list[str]:
    """Return the files of an installation."""
    artifacts = open_artifacts(settings)
    found = [
        file.name
        for folder in ("models", "datasets", "jobs", "uploads")
        for file in artifacts.everything(folder)
    ]
    return sorted(name for name in found if not name.endswith("/lock"))


def read(artifacts: Artifacts, name: str) -> bytes:
    return b"".join(artifacts.chunks(name))


def test_a_backup_goes_there_and_comes_back(shared: Settings, archive: Path, tmp_path: Path) -> None:
    report = check(shared)
    assert report.findings == []
    assert report.files > 5
    assert (shared.data_dir / DATABASE_NAME).exists() == (shared.database is None)
    before = restored(archive, tmp_path / "before")
    target = Repository.make(tmp_path / "of shared services")
    assert back_up(shared, target).manifest.damaged == ()
    first = target.added
    assert back_up(shared, target).manifest.damaged == ()
    target.close()
    assert target.added - first <= 1, "the rows alone; what an earlier backup has is not even read"
    after = restored(target.directory, tmp_path / "after")
    assert content(after) == content(before)
    assert rows(after) == rows(before)
    assert check(at(after)).findings == []


def test_by_command(set_up: Settings, tmp_path: Path) -> None:
    target = tmp_path / "of-shared-services.tar"
    as_json("backup", target)
    assert as_json("check", "--quick")["ok"]
    assert "is not empty" in run("restore", target, status=1)
    assert "--force moves" in run("restore", target, "--force", status=1)
    as_json("restore", target, "--dry-run")
    assert as_json("upgrade", "--dry-run")["steps"] == []
    assert "nothing to do" in run("upgrade")


def test_a_restore_fills_only_what_is_empty(shared: Settings, archive: Path) -> None:
    before = names(shared)
    with pytest.raises(CareError, match="not empty"):
        restore_from(archive, shared)
    assert names(shared) == before
    if shared.database is None:
        (shared.data_dir / DATABASE_NAME).unlink()
        restore_from(archive, shared)  # all files are there already
        open_artifacts(shared).write("models/model_of_others.safetensors", b"theirs")
        (shared.data_dir / DATABASE_NAME).unlink()
        with pytest.raises(CareError, match="model_of_others"):
            restore_from(archive, shared)
        assert not (shared.data_dir / DATABASE_NAME).exists()


def test_a_backup_whose_database_is_forged_leaves_nothing(empty: Settings, repository: Repository) -> None:
    poisoned(repository, "UPDATE models SET sha256 = 'ab'")
    with pytest.raises(BadBackup, match="another checksum"):
        restore_from(repository.directory, empty)
    assert names(empty) == []
    assert not (empty.data_dir / DATABASE_NAME).exists()
    if empty.database is not None:
        with closing(open_database(empty)) as database:
            assert database.version() is None


class CutOff(Archive):
    """An archive of which the reading fails after some files."""

    most = 5
    read = 0

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        if self.read == self.most:
            raise BadBackup("cut off")
        self.read += 1
        return super().chunks(entry)


def test_a_restore_that_broke_off_is_begun_again(empty: Settings, archive: Path) -> None:
    opened = CutOff(archive)
    manifest = opened.manifest(choose(opened, None))
    with pytest.raises(BadBackup, match="cut off"):
        restore_shared(opened, manifest, empty)
    assert len(names(empty)) == opened.read - 1, "and the database"
    assert not (empty.data_dir / DATABASE_NAME).exists()
    again = CutOff(archive)
    again.most = len(manifest.files) + 1
    restore_shared(again, manifest, empty)
    assert again.read == 1 + len(manifest.files) - (opened.read - 1), "what is there is passed over"
    with closing(open_store(empty)) as store:
        assert bear_mark(store, open_artifacts(empty))
    report = check(empty)
    assert report.findings == []
    assert report.files >= len(manifest.files)


def test_one_of_a_version_without_marks_is_begun_again(empty: Settings, tmp_path: Path) -> None:
    backup = ArchiveWriter(tmp_path / "of the first version.tar")
    assert back_up(at(unpack(tmp_path / "old")), backup).manifest.tables == "0001"
    backup.close()
    test_a_restore_that_broke_off_is_begun_again(empty, backup.path)


@pytest.mark.parametrize("empty", ["bucket"], indirect=True)
def test_what_an_earlier_database_has_left_is_not_read_into_a_new_one(
    shared: Settings, archive: Path
) -> None:
    database = shared.data_dir / DATABASE_NAME
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE left_behind (number)")
        connection.commit()
        log = database.with_name(f"{DATABASE_NAME}-wal").read_bytes()
    assert log
    database.unlink()
    database.with_name(f"{DATABASE_NAME}-wal").write_bytes(log)
    restore_from(archive, shared)
    with closing(sqlite3.connect(database)) as connection:
        found = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'left_behind'")
        assert found.fetchone() == (0,)


def test_nothing_is_restored_beside_a_server(empty: Settings, archive: Path) -> None:
    empty.data_dir.mkdir()
    with FileLock(empty.data_dir / "server.lock") as lock:
        lock.acquire()
        with pytest.raises(CareError, match="stop the server first"):
            restore_from(archive, empty)


def test_what_is_lost_damaged_or_left_is_found_and_mended(
    shared: Settings, archive: Path, database_url: str
) -> None:
    artifacts = open_artifacts(shared)
    models = sorted(name for name in names(shared) if name.startswith("models/"))
    with closing(open_store(shared)) as store:
        found = next(iter(sorted(store.files.recorded())))
    whole = {name: read(artifacts, name) for name in (models[0], found)}
    artifacts.delete(models[0])
    damage(shared, found)
    expected = {models[0]: "missing", found: "damaged"}
    assert {finding.name: finding.kind for finding in check(shared).findings} == expected
    assert {finding.name for finding in check(shared, quick=True).findings} == {models[0]}
    report = check(shared, repair=True, backups=Archive(archive))
    assert [finding.repaired for finding in report.findings] == ["put back from a backup"] * 2
    assert {name: read(artifacts, name) for name in whole} == whole
    assert check(shared).findings == []
    # young: nobody is ever sure to be alone with what is shared
    artifacts.write("models/model_gone.safetensors", b"left")
    assert check(shared, repair=True).findings == []
    assert artifacts.exists("models/model_gone.safetensors")


def damage(settings: Settings, name: str) -> None:
    """Change a byte of a file, wherever it is, and nothing of what is said of it."""
    artifacts = open_artifacts(settings)
    content = bytearray(read(artifacts, name))
    content[-1] ^= 1
    if not artifacts.shared:
        artifacts.local_path(name).write_bytes(content)
        return
    obstore.put(store_of(settings), name, bytes(content), attributes={"sha256": artifacts.checksum(name)})


class Deleting(Repository):
    """Has a job and its files deleted as soon as the first file is written."""

    delete: Callable[[], None]
    deleted = False

    def add(self, name: str, path: Path, size: int) -> Written:
        if not self.deleted:
            self.deleted = True
            self.delete()
        return super().add(name, path, size)


def test_what_is_deleted_meanwhile_leaves_no_backup_without_its_files(
    shared: Settings, tmp_path: Path
) -> None:
    artifacts = open_artifacts(shared)
    target = Deleting.make(tmp_path / "backups")
    with closing(open_store(shared)) as store:
        job = next(job for job in store.files.jobs() if job.status == "succeeded" and job.kind == "training")

        def delete() -> None:
            store.jobs.delete(job.id)
            artifacts.delete(paths.directory(job.id))

        target.delete = delete
        done = back_up(shared, target)
    target.close()
    assert target.deleted
    assert done.manifest.damaged == ()
    after = restored(target.directory, tmp_path / "after")
    assert check(at(after)).findings == []
    with closing(open_store(at(after))) as store:
        # of an object store another moment was taken; links stay what they are
        assert (job.id in store.jobs.identifiers()) == (not artifacts.shared)


def test_what_runs_is_in_a_backup_with_what_it_needs(shared: Settings, tmp_path: Path) -> None:
    with closing(open_store(shared)) as store:
        (under_way,) = (job for job in store.files.jobs() if job.checkpoint and job.status == "queued")
        assert under_way.checkpoint is not None
        open_artifacts(shared).write(paths.initial(under_way.id), os.urandom(1000))
        assert store.jobs.claim_next(["training"]) is not None
        lease = store.leases.take(LEASE, "somebody", 60.0)
        assert lease is not None
    target = Repository.make(tmp_path / "backups")
    names = {entry.name for entry in back_up(shared, target).manifest.files}
    target.close()
    assert {under_way.checkpoint["name"], paths.initial(under_way.id)} <= names
    with closing(open_store(at(restored(target.directory, tmp_path / "after")))) as store:
        assert store.leases.holder(LEASE) is None
        assert store.jobs.get(under_way.id).status == "queued"
