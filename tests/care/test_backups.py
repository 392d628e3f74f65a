"""What is written to a backup, what is kept of it, and what a restore refuses."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from app.care.archive import ArchiveWriter
from app.care.backup import back_up
from app.care.errors import BadBackup, CareError
from app.care.manifest import Manifest
from app.care.repository import Repository
from app.care.restore import choose, restore, verify
from app.files.artifacts import Written
from app.files.locks import FileLock
from app.processes.member import take
from app.settings import SettingsError
from app.store import Store
from app.store.database import DATABASE_NAME
from tests.care.installation import as_json, at, restored, run


def content(directory: Path) -> dict[str, bytes]:
    """Return the files of a directory but for the database."""
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in files if path.parent != directory}


def test_the_same_comes_back_from_a_directory_and_from_a_file(
    installation: Path, repository: Repository, archive: Path, tmp_path: Path
) -> None:
    files = content(restored(repository.directory, tmp_path / "a"))
    assert files
    assert files == content(restored(archive, tmp_path / "b"))
    assert {name: (installation / name).read_bytes() for name in files} == files
    assert (tmp_path / "a" / DATABASE_NAME).exists()


def test_a_data_directory_is_made_for_its_owner_alone(repository: Repository, tmp_path: Path) -> None:
    take(tmp_path / "new").release()
    made = (tmp_path / "new", restored(repository.directory, tmp_path / "restored"))
    assert [stat.S_IMODE(path.stat().st_mode) for path in made] == [0o700, 0o700]


def test_only_what_is_new_is_written_again(
    installation: Path, repository: Repository, tmp_path: Path
) -> None:
    model = next((installation / "models").glob("*.safetensors"))
    model.write_bytes(b"other")
    again = Repository.make(repository.directory)
    done = back_up(at(installation), again)
    again.close()
    # its checksum is recorded, so that the one in the backup is known to be good: it is not even read
    assert (again.added, done.manifest.damaged) == (1, ()), "the database, which has the recorded checksums"
    restored(repository.directory, tmp_path / "new")


def test_by_command_what_is_damaged_is_said(installation: Path, tmp_path: Path) -> None:
    model = next((installation / "models").glob("*.safetensors"))
    model.unlink()
    target = tmp_path / "backups"
    said = as_json("backup", target, "--data-dir", installation, "--keep", "1", status=1)
    assert [fault["name"] for fault in said["damaged"]] == [f"models/{model.name}"]
    assert [entry["backup"] for entry in as_json("restore", target, "--list")] == [said["backup"]]
    assert model.name in run("restore", target, "--data-dir", tmp_path / "new")


def test_as_many_are_kept_as_are_wanted(repository: Repository, installation: Path) -> None:
    writer = Repository.make(repository.directory)
    names = [writer.names()[0], *(back_up(at(installation), writer).name for _ in range(2))]
    assert writer.keep(2) == [names[0]]
    assert writer.names() == names[1:]
    assert writer.keep(2) == []
    for name in names[1:]:
        verify(writer, writer.manifest(name))
    objects = {path.name for path in (writer.directory / "objects").rglob("*") if path.is_file()}
    assert objects == {entry.sha256 for name in names[1:] for entry in writer.manifest(name).entries()}
    writer.close()
    with pytest.raises(BadBackup, match="there is no backup"):
        writer.manifest(names[0])


def test_what_is_lost_of_jobs_that_have_not_ended_is_said(installation: Path, tmp_path: Path) -> None:
    store = Store(installation)
    (under_way,) = (job for job in store.files.jobs() if job.checkpoint and job.status == "queued")
    store.close()
    assert under_way.checkpoint is not None
    (installation / under_way.checkpoint["name"]).unlink()
    target = Repository.make(tmp_path / "backups")
    done = back_up(at(installation), target)
    target.close()
    assert [fault.name for fault in done.manifest.damaged] == [under_way.checkpoint["name"]]
    assert not (restored(target.directory, tmp_path / "new") / under_way.checkpoint["name"]).exists()


class Deleting(Repository):
    """Deletes all files of an installation as soon as the first one is written."""

    installation: Path

    def add(self, name: str, path: Path, size: int) -> Written:
        for file in [*self.installation.rglob("*.safetensors"), *self.installation.rglob("*.npy")]:
            file.unlink(missing_ok=True)
        return super().add(name, path, size)


def test_what_is_deleted_while_it_is_copied_is_in_the_backup(installation: Path, tmp_path: Path) -> None:
    before = content(installation)
    target = Deleting.make(tmp_path / "backups")
    target.installation = installation
    assert back_up(at(installation), target).manifest.damaged == ()
    target.close()
    assert not list(installation.rglob("*.safetensors"))
    files = content(restored(target.directory, tmp_path / "new"))
    assert {name: before[name] for name in files} == files


def test_file_systems_without_hard_links(
    installation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*names: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    target = Repository.make(tmp_path / "backups")
    assert back_up(at(installation), target).manifest.damaged == ()
    target.close()
    assert content(restored(target.directory, tmp_path / "new"))


def test_a_directory_of_backups_is_nothing_else(installation: Path, tmp_path: Path) -> None:
    with pytest.raises(CareError, match="not empty and no directory of backups"):
        Repository.make(installation)
    held = Repository.make(tmp_path / "backups")
    with pytest.raises(CareError, match="another backup is being written"):
        Repository.make(tmp_path / "backups")
    held.close()
    assert (tmp_path / "backups").stat().st_mode & 0o77 == 0, "nobody else's business"
    with pytest.raises(BadBackup, match="there is no backup in it"):
        choose(held, None)


def test_a_directory_that_is_in_use_or_holds_something_is_left_alone(
    repository: Repository, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "notes.txt").write_text("mine")
    manifest = repository.manifest(choose(repository, None))
    with pytest.raises(CareError, match="is not empty"):
        restore(repository, manifest, target)
    with FileLock(target / "server.lock") as lock:
        lock.acquire()
        with pytest.raises(CareError, match="in use by a server"):
            restore(repository, manifest, target, force=True)
    done = restore(repository, manifest, target, force=True)
    assert done.moved is not None
    assert (done.moved / "notes.txt").read_text() == "mine"
    assert (target / DATABASE_NAME).exists()


def test_a_volume_that_is_there_is_filled(repository: Repository, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    (volume / "lost+found").mkdir(parents=True)
    restored(repository.directory, volume)
    assert (volume / DATABASE_NAME).exists()
    assert not (volume / "restoring").exists()


def test_no_server_takes_a_volume_that_is_being_filled(repository: Repository, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    (volume / "restoring").mkdir(parents=True)
    with pytest.raises(SettingsError, match="run `convserve restore` again"):
        take(volume)
    with FileLock(volume / "restoring" / "lock") as lock:
        lock.acquire()
        with pytest.raises(CareError, match="another restore is at work"):
            restored(repository.directory, volume)
    restored(repository.directory, volume)
    take(volume).release()


def test_an_archive_replaces_none(archive: Path) -> None:
    with pytest.raises(CareError, match="is there already"):
        ArchiveWriter(archive)


def test_what_is_no_installation_or_no_backup_is_said(tmp_path: Path) -> None:
    said = run("backup", tmp_path / "backups", "--data-dir", tmp_path / "none", status=1)
    assert said.startswith("Error: there is no convserve.sqlite3")
    assert not (tmp_path / "none").exists()
    assert "lies within" in run("backup", tmp_path / "data" / "b", "--data-dir", tmp_path / "data", status=1)
    with pytest.raises(BadBackup, match="no directory of backups"):
        restored(tmp_path, tmp_path / "new")
    with pytest.raises(BadBackup, match="cannot be read"):
        restored(tmp_path / "none.tar", tmp_path / "new")


def test_an_installation_of_a_later_version_is_left_alone(installation: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(installation / DATABASE_NAME)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    target = Repository.make(tmp_path / "backups")
    with pytest.raises(CareError, match="tables of version 9999"):
        back_up(at(installation), target)
    target.close()
    assert target.names() == []


def test_a_list_says_what_it_is_of(repository: Repository) -> None:
    manifest = repository.manifest(choose(repository, None))
    assert Manifest.read(*manifest.write()) == manifest
