"""Runs some work again and again, killed at another step each time: `python -m tests.care.dying WORK STRIDE ...`.

A step is whatever opens, links, renames, makes or removes a file. WORK is a function of this file; after each death it
is looked at what is there, and whether the work can be done then. The number of deaths is printed.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from app.care.archive import Archive, ArchiveWriter
from app.care.backup import back_up
from app.care.manifest import Manifest
from app.care.repository import Repository
from app.care.restore import choose, open_source, restore, verify
from app.files.scratch import abandoned
from tests.care.installation import at

STEPS = {
    "open",
    "os.link",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.truncate",
    "sqlite3.connect",
}


def die_at(step: int, work: Callable[[], object]) -> bool:
    """Do some work in a process that kills itself at a step; return whether it came so far."""
    child = os.fork()
    if child == 0:
        left = step

        def count(event: str, _: object) -> None:
            nonlocal left
            if event in STEPS:
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        work()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.waitstatus_to_exitcode(status) == 0
    return False


def manifest(source: Path) -> Manifest:
    """Return the newest backup of a directory or an archive, after all of it was read."""
    opened = open_source(source)
    found = opened.manifest(choose(opened, None))
    verify(opened, found)
    return found


def to_repository(data_dir: Path, room: Path) -> None:
    """Write a backup to a directory of backups."""
    repository = Repository.make(room / "backups")
    back_up(at(data_dir), repository)
    repository.keep(1)
    repository.close()


def look_at_repository(data_dir: Path, room: Path) -> None:
    """Every backup that there is, is whole; the next one is written, and takes away what was left."""
    if (room / "backups" / "convserve-backups").exists():
        repository = Repository(room / "backups")
        for name in repository.names():
            verify(repository, repository.manifest(name))
    to_repository(data_dir, room)
    assert not list((room / "backups").rglob(".tmp-*"))
    shutil.rmtree(room / "backups")
    for name in abandoned(data_dir):
        if not name.endswith(".lock"):
            shutil.rmtree(data_dir / name)


def to_archive(data_dir: Path, room: Path) -> None:
    """Write a backup to a file."""
    archive = ArchiveWriter(room / "backup.tar")
    back_up(at(data_dir), archive)
    archive.close()


def look_at_archive(data_dir: Path, room: Path) -> None:
    """Where there is a file it is whole; the next one is written, and takes away what was left."""
    if (room / "backup.tar").exists():
        manifest(room / "backup.tar")
        (room / "backup.tar").unlink()
    to_archive(data_dir, room)
    assert [path.name for path in room.iterdir()] == ["backup.tar"]
    (room / "backup.tar").unlink()


def beside(source: Path, room: Path) -> None:
    """Restore to a new directory."""
    opened = Archive(source)
    restore(opened, opened.manifest(choose(opened, None)), room / "data")


def look_beside(source: Path, room: Path) -> None:
    """Where the directory is there it is whole; else it can be made, and nothing is left beside it."""
    if not (room / "data").exists():
        beside(source, room)
    look_at_restored(source, room)
    shutil.rmtree(room / "data")
    for left in room.iterdir():
        shutil.rmtree(left)


def inside(source: Path, room: Path) -> None:
    """Restore to a directory that is there, such as a volume."""
    (room / "data").mkdir(exist_ok=True)
    beside(source, room)


def look_inside(source: Path, room: Path) -> None:
    """Where the database is there all is; else the restore can be done again."""
    if not (room / "data" / "convserve.sqlite3").exists():
        inside(source, room)
        assert not (room / "data" / "restoring").exists()
    look_at_restored(source, room)
    shutil.rmtree(room / "data")


def look_at_restored(source: Path, room: Path) -> None:
    """All files of the backup are there."""
    for entry in manifest(source).entries():
        path = room / "data" / entry.name
        assert path.exists(), path
        assert entry.name == "convserve.sqlite3" or path.stat().st_size == entry.bytes, path


WORK = {
    "repository": (to_repository, look_at_repository),
    "archive": (to_archive, look_at_archive),
    "beside": (beside, look_beside),
    "inside": (inside, look_inside),
}


def main(name: str, stride: int, subject: Path, room: Path) -> None:
    """Die at every step that is a multiple of `stride`, until the work is done without dying."""
    work, look = WORK[name]
    step, deaths = 1, 0
    while die_at(step, lambda: work(subject, room)):
        look(subject, room)
        step, deaths = step + stride, deaths + 1
    print(deaths)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]))
