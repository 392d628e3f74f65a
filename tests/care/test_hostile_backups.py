"""A backup is data from outside: what is damaged or forged is refused by name, and leaves nothing behind."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sqlite3
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from app.care.archive import Archive
from app.care.errors import BadBackup, CareError
from app.care.repository import Repository
from app.care.restore import choose
from app.store.database import DATABASE_NAME
from tests.care.installation import restored


def refused(source: Path, tmp_path: Path, match: str, targets: tuple[str, ...] = ("new",)) -> None:
    """A restore says why not, and leaves nothing: neither where there was no directory, nor in one that was there."""
    (tmp_path / "room" / "volume").mkdir(parents=True)
    for target in targets:
        with pytest.raises(BadBackup, match=match):
            restored(source, tmp_path / "room" / target)
    assert [path.name for path in (tmp_path / "room").iterdir()] == ["volume"]
    assert [path.name for path in (tmp_path / "room" / "volume").iterdir()] in ([], ["server.lock"])


def an_object(repository: Repository) -> tuple[str, Path]:
    """Return a file of a backup, and where its bytes are."""
    entry = repository.manifest(choose(repository, None)).files[-1]
    return entry.name, repository.directory / "objects" / entry.sha256[:2] / entry.sha256


def flip(path: Path) -> None:
    changed = bytearray(path.read_bytes())
    changed[len(changed) // 2] ^= 1
    path.write_bytes(changed)


def link(path: Path) -> None:
    other = path.with_name("other")
    path.rename(other)
    path.symlink_to(other)


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


OBJECTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "another byte": (flip, "its checksum is another"),
    "missing": (Path.unlink, "is missing"),
    "shorter": (lambda path: path.write_bytes(path.read_bytes()[:-1]), "bytes, not"),
    "longer": (lambda path: path.write_bytes(path.read_bytes() + b"0"), "bytes, not"),
    "a link": (link, "is missing"),
    "a pipe": (fifo, "is missing"),
}


@pytest.mark.parametrize("fault", OBJECTS)
def test_a_damaged_object_is_named(repository: Repository, tmp_path: Path, fault: str) -> None:
    change, says = OBJECTS[fault]
    name, path = an_object(repository)
    change(path)
    refused(repository.directory, tmp_path, f"{name}.*{says}", ("new", "volume"))


NAMES = {
    "up": ("../x", "pattern"),
    "up further in": ("models/../../x", "pattern"),
    "absolute": ("/etc/x", "pattern"),
    "hidden": ("models/.tmp-x", "pattern"),
    "elsewhere": ("server.lock/x", "in no directory"),
    "a directory itself": ("models", "no directory|a directory that is a file"),
    "the database": (f"{DATABASE_NAME}/x", "in no directory"),
    "below a file": ("models/a/b", "a directory that is a file"),
    "twice": ("models/a", "the same name"),
}


@pytest.mark.parametrize("fault", NAMES)
def test_names_lead_nowhere_else(repository: Repository, tmp_path: Path, fault: str) -> None:
    name, says = NAMES[fault]
    manifest = repository.manifest(choose(repository, None))
    other = manifest.database.model_dump()
    forged = manifest.model_dump(mode="json")
    forged["files"] += [other | {"name": "models/a"}, other | {"name": name}]
    rewrite(repository, forged)
    refused(repository.directory, tmp_path, says)


@pytest.mark.parametrize("size", [-1, 10**30, "1", 1.5])
def test_sizes_are_numbers_of_bytes(repository: Repository, tmp_path: Path, size: object) -> None:
    forged = repository.manifest(choose(repository, None)).model_dump(mode="json")
    forged["files"][0]["bytes"] = size
    rewrite(repository, forged)
    with pytest.raises(CareError, match=r"files.0.bytes|are free on the disk"):
        restored(repository.directory, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def rewrite(repository: Repository, document: object) -> None:
    """Replace the list of a backup by one that has the right name for what it says."""
    text = json.dumps(document).encode()
    for path in (repository.directory / "backups").iterdir():
        path.unlink()
    digest = hashlib.sha256(text).hexdigest()[:16]
    (repository.directory / "backups" / f"20260101T000000Z-{digest}.json").write_bytes(text)


def test_a_list_that_was_changed_is_refused(repository: Repository, tmp_path: Path) -> None:
    flip(next((repository.directory / "backups").iterdir()))
    refused(repository.directory, tmp_path, "list of files .* is not as it was written")


def poisoned(repository: Repository, *statements: str) -> None:
    """Change the database of a backup, and all that vouches for it."""
    manifest = repository.manifest(choose(repository, None))
    path = repository.directory / "objects" / manifest.database.sha256[:2] / manifest.database.sha256
    copy = repository.directory.parent / "poisoned"
    copy.write_bytes(path.read_bytes())
    with closing(sqlite3.connect(copy)) as database, database:
        for statement in statements:
            database.execute(statement)
    writer = Repository.make(repository.directory)
    written = writer.add(DATABASE_NAME, copy, copy.stat().st_size)
    writer.close()
    forged = manifest.model_dump(mode="json") | {
        "database": {"name": DATABASE_NAME, "sha256": written.sha256, "bytes": written.bytes}
    }
    rewrite(repository, forged)


DATABASES = {
    "a trigger": (
        "CREATE TRIGGER other AFTER UPDATE ON jobs BEGIN DELETE FROM models; END",
        "trigger 'other' is none of this program's",
    ),
    "a view": ("CREATE VIEW other AS SELECT 1", "view 'other'"),
    "a later version": ("UPDATE alembic_version SET version_num = '9999'", "newer version"),
    "a model that is not there": (
        "UPDATE models SET path = 'models/other.safetensors'",
        "names models/other.safetensors",
    ),
    "another checksum": ("UPDATE models SET sha256 = 'ab'", "another checksum"),
    "a name that leads elsewhere": ("UPDATE models SET path = '../../x'", "no name of a file"),
    "a row without the one it names": (
        "INSERT INTO epochs (job_id, epoch, figures) VALUES ('job_x', 1, '{}')",
        "not there",
    ),
}


@pytest.mark.parametrize("fault", DATABASES)
def test_a_database_that_is_none_of_ours_is_refused(
    repository: Repository, tmp_path: Path, fault: str
) -> None:
    statement, says = DATABASES[fault]
    poisoned(repository, statement)
    refused(repository.directory, tmp_path, says)


def test_a_database_that_is_none_is_refused(repository: Repository, tmp_path: Path) -> None:
    manifest = repository.manifest(choose(repository, None))
    forged = manifest.model_dump(mode="json")
    forged["database"] |= {name: forged["files"][0][name] for name in ("sha256", "bytes")}
    rewrite(repository, forged)
    refused(repository.directory, tmp_path, "cannot be read|damaged")


def tar(path: Path, *members: tarfile.TarInfo, kind: int = tarfile.GNU_FORMAT) -> None:
    with tarfile.open(path, "w", format=kind) as file:
        for member in members:
            file.addfile(member, io.BytesIO(bytes(member.size)))


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, target
    return found


@pytest.mark.parametrize(
    "members",
    [
        (member("models/a", tarfile.SYMTYPE, "/etc/passwd"),),
        (member("models/a", tarfile.LNKTYPE, "/etc/passwd"),),
        (member("models", tarfile.DIRTYPE),),
        (member("models/a", tarfile.CHRTYPE),),
        (member("models/a"), member("models/a")),
        (member("models/" + "a" * 200),),
        (),
    ],
    ids=["symbolic link", "hard link", "directory", "device", "twice", "long name", "empty"],
)
def test_an_archive_has_files_alone(tmp_path: Path, members: tuple[tarfile.TarInfo, ...]) -> None:
    path = tmp_path / "hostile.tar"
    tar(path, *members, member("list.json"))
    if not members:
        path.write_bytes(b"")
    refused(path, tmp_path, "no backup|not as it was written")


def test_an_archive_that_was_cut_short_is_none(archive: Path, tmp_path: Path) -> None:
    whole = archive.read_bytes()
    short = tmp_path / "short.tar"
    for length in range(0, len(whole) - 1024, len(whole) // 40):
        short.write_bytes(whole[:length])
        with pytest.raises(BadBackup):
            restored(short, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_an_archive_whose_sizes_lie_is_refused(archive: Path, tmp_path: Path) -> None:
    content = bytearray(archive.read_bytes())
    name = Archive(archive).manifest(Archive(archive).names()[0]).files[0].name
    header = tarfile.TarInfo.frombuf(content[:512], "utf-8", "strict")
    assert header.name == name
    header.size = 2**60
    content[:512] = header.tobuf(tarfile.GNU_FORMAT)
    archive.write_bytes(content)
    refused(archive, tmp_path, "cut short")
