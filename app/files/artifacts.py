"""Files that outlive processes: whole or absent, checksummed, and never elsewhere than they should be.

What belongs to one machine alone lies in its data directory, whatever holds the rest: locks, logs of attempts that run,
uploads that arrive, what is being fetched, room to work in. Its place is `here`; where the bytes of an artifact can be
read is `local_path`.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, ClassVar, Protocol

from app.files.locks import is_locked, lock_open

_TEMPORARY = ".tmp-"
_CHUNK = 1 << 20
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: its name, its SHA-256 in hexadecimal and its size in bytes."""

    name: str
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Stored:
    """A file or directory that is there: its name, its bytes, and when it was last written, in seconds since 1970."""

    name: str
    bytes: int
    modified: float

    def is_older(self, age: float) -> bool:
        """Tell whether it was last written so many seconds ago, or earlier."""
        return self.modified <= time.time() - age


class Artifacts(Protocol):
    """Named bytes that outlive processes. Names are relative, with slashes: `models/model_x.safetensors`.

    Attributes:
        shared: whether they are in a store that other machines read and write as well.
    """

    shared: ClassVar[bool]

    @property
    def root(self) -> Path:
        """The data directory of this machine."""

    def write(self, name: str, content: bytes | Callable[[IO[bytes]], Any]) -> Written:
        """Store bytes, or what a function writes into the file it is given, replacing what was there.

        When this returns, the bytes survive a power cut. When it does not, there is nothing of a name that was new, and
        what was there before is whole: the earlier bytes or the new ones.

        Raises:
            ValueError: the name is not one that may be used.
        """

    def write_new(self, name: str, content: bytes) -> bool:
        """Store bytes that only their owner may read, unless there is a file of this name; tell whether there was none.

        Of several who do so at the same time one does.
        """

    def here(self, name: str) -> Path:
        """Return where a file of this machine alone is, or would be; other machines do not see it."""

    def take_in(self, name: str) -> None:
        """Make an artifact of the file that lies at `here`, which need not be there any more then."""

    def bring_back(self, name: str) -> None:
        """Put a copy of an artifact to `here` if nothing is there, so that more can be written to it."""

    def local_path(self, name: str) -> Path:
        """Return where the bytes of a file are on this machine; for reading and memory maps.

        Where there is no such file, or what is stored of it is not what was written, nothing is at that path.
        """

    def find(self, name: str) -> Stored | None:
        """Return what is known of a file without reading it; None where there is none."""

    def exists(self, name: str) -> bool:
        """Tell whether there is a file or directory of this name."""

    def checksum(self, name: str) -> str:
        """Return the SHA-256 of a file in hexadecimal.

        Raises:
            FileNotFoundError: there is none.
        """

    def delete(self, name: str) -> None:
        """Remove a file, or a directory and all it holds; fine if it is not there."""

    def names(self, directory: str) -> list[str]:
        """Return the names of the finished files that are directly in a directory; none if it is not there."""

    def files(self, directory: str) -> list[Stored]:
        """Return the finished files that are directly in a directory, by name; none if it is not there."""

    def folders(self, directory: str, levels: int = 1) -> list[Stored]:
        """Return the directories that are directly in a directory, by name, with when something in each was written.

        Args:
            directory: where to look.
            levels: 2 for the directories in those directories.
        """

    def everything(self, directory: str) -> Iterator[Stored]:
        """Yield the finished files that are in a directory, however deep; takes long."""

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield what is stored of a file, piece by piece, whether or not it is what was written.

        Raises:
            FileNotFoundError: there is none, or no more.
        """

    def bytes(self) -> int:
        """Return the size of all of it, and of the data directory; takes long."""

    def mark_used(self, name: str) -> None:
        """Note that a file is in use, where there is a place for that."""

    def clean(self, directory: str | None = None, age: float = 0.0) -> None:
        """Remove what writers that died have left half written, at least `age` seconds ago."""

    def half_written(self, directory: str | None = None, age: float = 0.0) -> Iterator[Path]:
        """Return the files that `clean` removes."""

    def probe(self) -> None:
        """Write and read a little, where that tells more than writing to the disk of the data directory does.

        Raises:
            OSError, StorageFault: that cannot be done.
        """


class LocalArtifacts:
    """Artifacts in a directory of this machine, which is the only one that has them."""

    shared: ClassVar[bool] = False

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def root(self) -> Path:
        """The directory."""
        return self._root

    def write(self, name: str, content: bytes | Callable[[IO[bytes]], Any]) -> Written:
        """Write under a temporary name, sync, rename, sync the directory."""
        path = self.local_path(name)
        _make_directory(path.parent)
        replaces = path.exists()
        temporary, file = begin_file(path)
        # It stays open, and so locked, until it has its name: nobody takes it for one that was left behind.
        with file:
            try:
                if callable(content):
                    content(file)
                else:
                    file.write(content)
                file.flush()
                os.fsync(file.fileno())
                # Of what reached the disk: a writer may have moved about in the file.
                written = Written(name, _checksum(temporary), temporary.stat().st_size)
                temporary.replace(path)
                sync_directory(path.parent)
            except BaseException:
                # where nothing can be removed either, what was raised first says why
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)
                    if not replaces:
                        path.unlink(missing_ok=True)
                raise
        return written

    def local_path(self, name: str) -> Path:
        """Return the path of a name.

        Raises:
            ValueError: a part of it could lead elsewhere or is hidden.
        """
        check_name(name)
        return self._root / PurePosixPath(name)

    def write_new(self, name: str, content: bytes) -> bool:
        """Write under a temporary name, and link it to its own, which fails where that is taken."""

        def write(file: IO[bytes]) -> None:
            os.fchmod(file.fileno(), 0o600)
            file.write(content)

        made = self.write(f"{name}-{secrets.token_hex(8)}", write)
        try:
            os.link(self.local_path(made.name), self.local_path(name))
            sync_directory(self.local_path(name).parent)
        except FileExistsError:
            return False
        finally:
            self.delete(made.name)
        return True

    def here(self, name: str) -> Path:
        """Return the same."""
        return self.local_path(name)

    def take_in(self, name: str) -> None:
        """Do nothing: it lies where it is read."""

    def bring_back(self, name: str) -> None:
        """Do nothing: it lies where it is written."""

    def find(self, name: str) -> Stored | None:
        """Return what is known of a file; None where there is none."""
        try:
            about = self.local_path(name).stat()
        except FileNotFoundError:
            return None
        return Stored(name, about.st_size, about.st_mtime)

    def exists(self, name: str) -> bool:
        """Tell whether there is a file or directory of this name."""
        return self.local_path(name).exists()

    def checksum(self, name: str) -> str:
        """Return the SHA-256 of a file in hexadecimal."""
        return _checksum(self.local_path(name))

    def delete(self, name: str) -> None:
        """Remove a file, or a directory and all it holds."""
        path = self.local_path(name)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def names(self, directory: str) -> list[str]:
        """Return the names of the finished files that are directly in a directory; none if it is not there."""
        return [found.name for found in self.files(directory)]

    def files(self, directory: str) -> list[Stored]:
        """Return the finished files that are directly in a directory."""
        found = self._entries(directory, lambda path: path.is_file())
        return [file for file in found if not file.name.startswith(f"{directory}/{_TEMPORARY}")]

    def folders(self, directory: str, levels: int = 1) -> list[Stored]:
        """Return the directories that are directly in a directory."""
        found = self._entries(directory, lambda path: path.is_dir())
        return (
            found if levels == 1 else [each for one in found for each in self.folders(one.name, levels - 1)]
        )

    def everything(self, directory: str) -> Iterator[Stored]:
        """Yield the finished files that are in a directory, however deep."""
        yield from self.files(directory)
        for folder in self.folders(directory):
            if is_name(folder.name):
                yield from self.everything(folder.name)

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield what is in a file, piece by piece."""
        with self.local_path(name).open("rb") as file:
            while piece := file.read(_CHUNK):
                yield piece

    def mark_used(self, name: str) -> None:
        """Have it be as if a file had just been written."""
        with suppress(FileNotFoundError):
            os.utime(self.local_path(name))

    def probe(self) -> None:
        """Do nothing: the disk of the data directory is looked at anyhow."""

    def bytes(self) -> int:
        """Return the size of all files, of the database too; a walk through everything, to be taken by a thread.

        What has several names, as while a backup is written, counts once.
        """
        total = 0
        seen = set()
        for folder, _, files in os.walk(self._root):
            for name in files:
                # Files come and go while we walk.
                with suppress(FileNotFoundError):
                    found = (Path(folder) / name).lstat()
                    if found.st_nlink > 1:
                        if found.st_ino in seen:
                            continue
                        seen.add(found.st_ino)
                    total += found.st_size
        return total

    def clean(self, directory: str | None = None, age: float = 0.0) -> None:
        """Remove what writers that died have left half written.

        Args:
            directory: where to look, everywhere by default.
            age: the least number of seconds since the last write. What somebody holds locked stays, as workers do of a
                server that died.
        """
        for path in self.half_written(directory, age):
            remove_unless_locked(path)

    def half_written(self, directory: str | None = None, age: float = 0.0) -> Iterator[Path]:
        """Return the files that `clean` removes."""
        root = self._root if directory is None else self.local_path(directory)
        oldest = time.time() - age
        for path in root.rglob(f"{_TEMPORARY}*"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime <= oldest and not is_locked(path):
                    yield path

    def _entries(self, directory: str, is_one: Callable[[Path], bool]) -> list[Stored]:
        path = self.local_path(directory)
        found = []
        for entry in sorted(path.iterdir()) if path.is_dir() else ():
            with suppress(FileNotFoundError):  # deleted meanwhile
                if is_one(entry):
                    about = entry.stat()
                    found.append(Stored(f"{directory}/{entry.name}", about.st_size, about.st_mtime))
        return found


def is_name(name: str) -> bool:
    """Tell whether an artifact may have a name: no part of it can lead elsewhere, or is hidden."""
    return all(_PART.fullmatch(part) for part in name.split("/"))


def check_name(name: str) -> None:
    """Refuse what is not the name of an artifact.

    Raises:
        ValueError: a part of it could lead elsewhere or is hidden.
    """
    if not is_name(name):
        raise ValueError(f"{name!r} is not the name of an artifact")


def begin_file(path: Path) -> tuple[Path, IO[bytes]]:
    """Open a new file beside the one that it will be, locked."""
    while True:
        temporary = path.with_name(f"{_TEMPORARY}{secrets.token_hex(8)}")
        file = temporary.open("xb")
        # Until it was locked it looked like one that was left behind.
        if lock_open(file.fileno()) and temporary.exists():
            return temporary, file
        file.close()
        temporary.unlink(missing_ok=True)


def remove_unless_locked(path: Path) -> None:
    """Remove a file that somebody may just be about to write to, unless that is so; fine if it is not there."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        # Locked by us while it is removed, so that its writer sees that it is gone.
        if lock_open(file.fileno()):
            path.unlink()


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _make_directory(directory: Path) -> None:
    """Make a directory and its parents so that they survive a power cut as well."""
    missing = []
    while not directory.exists():
        missing.append(directory)
        directory = directory.parent
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
