"""A directory of backups: each file is kept once, under its checksum, however many backups have it.

convserve-backups     says what this directory is
backups/              for each backup the list of its files, written last
objects/              the files, by their checksums
lock                  held by the one backup that is being written
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from app.care.checksums import digest
from app.care.errors import BadBackup, CareError
from app.care.manifest import ENDING, MAX_BYTES, Entry, Manifest
from app.care.places import open_plain, take
from app.files.artifacts import LocalArtifacts, Written
from app.files.locks import FileLock

MARK = "convserve-backups"
_CONTENT = b"Backups of convserve, written by `convserve backup`, read by `convserve restore`; format 1.\n"
_BACKUPS, _OBJECTS = "backups", "objects"
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Repository:
    """A directory of backups, opened for reading, or for one who writes."""

    def __init__(self, directory: Path) -> None:
        """Open one that is there.

        Raises:
            BadBackup: it is none.
        """
        if not (directory / MARK).is_file():
            raise BadBackup(f"{directory} is no directory of backups: it has no file {MARK}")
        self.directory = directory
        self._files = LocalArtifacts(directory)
        self._lock = FileLock(directory / "lock")
        self.added = self.added_bytes = 0

    @classmethod
    def make(cls, directory: Path) -> Repository:
        """Open one for writing, and make it where there is nothing; to be closed.

        Raises:
            CareError: there is something else, or another backup is being written there.
        """
        # its files hold pictures and models: nobody else's business
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (directory / MARK).exists():
            if any(not path.name.startswith(".tmp-") for path in directory.iterdir()):
                raise CareError(
                    f"{directory} is not empty and no directory of backups: name another one, or a file that ends "
                    "in .tar"
                )
            LocalArtifacts(directory).write(MARK, _CONTENT)
        made = cls(directory)
        if not made._lock.acquire():
            raise CareError(f"another backup is being written to {directory}: wait for its end")
        # of one that was killed
        made._files.clean(age=0)
        return made

    def close(self) -> None:
        """Let others write."""
        self._lock.release()

    def names(self) -> list[str]:
        """Return the names of the backups, the oldest first."""
        names = (Path(name).name for name in self._files.names(_BACKUPS))
        return [name.removesuffix(ENDING) for name in names if name.endswith(ENDING)]

    def manifest(self, name: str) -> Manifest:
        """Return what a backup consists of."""
        if name not in self.names():
            raise BadBackup(
                f"there is no backup {name!r} in {self.directory}; --list names those that there are"
            )
        path = self._files.local_path(f"{_BACKUPS}/{name}{ENDING}")
        try:
            with open_plain(path) as file:
                content = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise BadBackup(f"the list of files {path} cannot be read: {error.strerror}") from error
        if len(content) > MAX_BYTES:
            raise BadBackup(f"the list of files {path} has more than {MAX_BYTES} bytes")
        return Manifest.read(path.name, content)

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        """Return what is in a file of a backup."""
        try:
            with open_plain(self._object(entry.sha256)) as file:
                file.seek(0, 2)
                if (size := file.tell()) != entry.bytes:
                    raise BadBackup(f"{entry.name} in the backup has {size} bytes, not {entry.bytes}")
                file.seek(0)
                yield from take(file, entry.bytes, entry.name)
        except OSError as error:
            raise BadBackup(
                f"{entry.name} is missing in the backup: {error.strerror or error}; its object is {entry.sha256}"
            ) from error

    def has(self, file: Written) -> bool:
        """Tell whether a file of this checksum and size is there already."""
        if not _SHA256.fullmatch(str(file.sha256)):
            return False
        try:
            return self._object(file.sha256).stat().st_size == file.bytes
        except OSError:
            return False

    def add(self, name: str, path: Path, size: int) -> Written:
        """Add the first bytes of a file, unless the same bytes are there already."""
        with path.open("rb") as file:
            found = Written(name, digest(take(file, size, name)), size)
        if self.has(found):
            return found

        def copy(target: IO[bytes]) -> None:
            with path.open("rb") as file:
                for chunk in take(file, size, name):
                    target.write(chunk)

        written = self._files.write(self._name(found.sha256), copy)
        if written.sha256 != found.sha256:
            self._files.delete(written.name)
            raise CareError(f"{name} was read again from {self.directory} and is not what was written there")
        self.added += 1
        self.added_bytes += size
        return found

    def finish(self, manifest: Manifest) -> str:
        """Make what was added a backup, and return its name."""
        before = [int(name[:6]) for name in self.names() if name[:6].isdecimal()]
        name, content = manifest.write(max(before, default=0) + 1)
        self._files.write(f"{_BACKUPS}/{name}", content)
        return name.removesuffix(ENDING)

    def keep(self, newest: int) -> list[str]:
        """Let go of all backups but the newest, and of what no other has; return the names of those that went.

        Raises:
            BadBackup: one that stays cannot be read, so that it is not known what it needs; nothing is removed.
        """
        names = self.names()
        stay, go = names[-newest:], names[:-newest]
        wanted = {entry.sha256 for name in stay for entry in self.manifest(name).entries()}
        # The lists first: a backup that is there has all of its files.
        for name in go:
            self._files.delete(f"{_BACKUPS}/{name}{ENDING}")
        for folder in sorted((self.directory / _OBJECTS).iterdir()):
            for path in folder.iterdir():
                if path.name not in wanted:
                    path.unlink()
        return go

    def _object(self, sha256: str) -> Path:
        return self._files.local_path(self._name(sha256))

    @staticmethod
    def _name(sha256: str) -> str:
        return f"{_OBJECTS}/{sha256[:2]}/{sha256}"
