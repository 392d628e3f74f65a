"""A backup in one file: a plain tar archive, which any tar lists and unpacks.

The list of files is its last member: an archive that was cut short has none. Of tar's many kinds of members only files
are written and read, so that there are no links, no devices and no long names to be wary of.
"""

from __future__ import annotations

import os
import secrets
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from app.care.checksums import digest
from app.care.errors import BadBackup, CareError
from app.care.manifest import ENDING, MAX_BYTES, Entry, Manifest
from app.care.places import open_plain, read_verified, take
from app.files.artifacts import Written, sync_directory
from app.files.locks import is_locked, lock_open

SUFFIX = ".tar"
_BLOCK = tarfile.BLOCKSIZE
_LONGEST = 100
"""Characters of a name that is in the header of its member alone."""
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE)


class ArchiveWriter:
    """Writes one backup to a file, which has its name only when all of it is there and was read again."""

    def __init__(self, path: Path) -> None:
        """Begin.

        Raises:
            CareError: there is such a file already.
        """
        self.path = path
        self.added = self.added_bytes = 0
        if path.exists():
            raise CareError(
                f"{path} is there already; a backup in a file of its own replaces none: name another"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        beginning = f".{path.name}.tmp-"
        for left in path.parent.glob(f"{beginning}*"):  # by one that was killed
            if not is_locked(left):
                left.unlink(missing_ok=True)
        self._temporary = path.with_name(f"{beginning}{secrets.token_hex(8)}")
        descriptor = os.open(self._temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        self._file: IO[bytes] = os.fdopen(descriptor, "w+b")
        lock_open(descriptor)

    def has(self, file: Written) -> bool:
        """Return False: each archive has all files."""
        return False

    def add(self, name: str, path: Path, size: int) -> Written:
        """Add the first bytes of a file."""
        self.added += 1
        self.added_bytes += size
        with path.open("rb") as file:
            return Written(name, digest(self._write(name, take(file, size, name), size)), size)

    def finish(self, manifest: Manifest) -> str:
        """Write the list of files, read all of the archive again, and give it its name."""
        name, content = manifest.write()
        for _ in self._write(name, iter([content]), len(content)):
            pass
        self._file.write(bytes(2 * _BLOCK))
        self._file.flush()
        os.fsync(self._file.fileno())
        written = Archive(self._temporary)
        try:
            for entry in manifest.entries():
                read_verified(written, entry)
        except BadBackup as error:
            raise CareError(
                f"the archive was read again and is not what was written: {error.detail}"
            ) from error
        self._temporary.replace(self.path)
        sync_directory(self.path.parent)
        return name.removesuffix(ENDING)

    def close(self) -> None:
        """Let go of the file; one that was not finished goes."""
        self._temporary.unlink(missing_ok=True)
        self._file.close()

    def _write(self, name: str, chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
        """Write a member, and return its pieces."""
        if len(name) > _LONGEST:
            raise CareError(f"{name} is too long a name for a member of an archive")
        member = tarfile.TarInfo(name)
        member.size, member.mode = size, 0o600
        self._file.write(member.tobuf(tarfile.GNU_FORMAT))
        for chunk in chunks:
            self._file.write(chunk)
            yield chunk
        self._file.write(bytes(-size % _BLOCK))


class Archive:
    """A backup in one file, for reading."""

    def __init__(self, path: Path) -> None:
        """Find the members.

        Raises:
            BadBackup: it is no such archive.
        """
        self.path = path
        try:
            with open_plain(path) as file:
                self._members = dict(_members(file))
        except OSError as error:
            raise BadBackup(f"{path} cannot be read: {error.strerror or error}") from error
        except tarfile.HeaderError as error:
            raise BadBackup(f"{path} is no backup, or is cut short: {error}") from error
        self._list = next(reversed(self._members), "")
        if not self._list.endswith(ENDING) or "/" in self._list:
            raise BadBackup(f"{path} is no backup, or is cut short: it does not end in a list of its files")

    def names(self) -> list[str]:
        """Return the name of the one backup."""
        return [self._list.removesuffix(ENDING)]

    def manifest(self, name: str) -> Manifest:
        """Return what the backup consists of."""
        if name not in self.names():
            raise BadBackup(f"there is no backup {name!r} in {self.path}, but {self.names()[0]!r}")
        size = self._members[self._list][1]
        if size > MAX_BYTES:
            raise BadBackup(f"the list of files in {self.path} has more than {MAX_BYTES} bytes")
        return Manifest.read(self._list, b"".join(self._read(self._list)))

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        """Return what is in a file of the backup."""
        if entry.name not in self._members:
            raise BadBackup(f"{entry.name} is missing in the backup")
        if (size := self._members[entry.name][1]) != entry.bytes:
            raise BadBackup(f"{entry.name} in the backup has {size} bytes, not {entry.bytes}")
        return self._read(entry.name)

    def _read(self, name: str) -> Iterator[bytes]:
        offset, size = self._members[name]
        with open_plain(self.path) as file:
            file.seek(offset)
            yield from take(file, size, name)


def _members(file: IO[bytes]) -> Iterator[tuple[str, tuple[int, int]]]:
    """Return where the content of each member begins, and its size, by its name.

    Raises:
        BadBackup: one of them is no file, or has the name of another.
        tarfile.HeaderError: what is there is no member.
    """
    seen = set()
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    while (block := file.read(_BLOCK)) != bytes(_BLOCK):
        member = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        if member.type not in _FILES or member.size < 0:
            raise BadBackup(f"the archive is no backup: {member.name!r} in it is no file")
        if member.name in seen:
            raise BadBackup(f"the archive is no backup: two of its members are called {member.name!r}")
        if member.size > end - file.tell():
            raise BadBackup(
                f"the archive is cut short: {member.name!r} in it should have {member.size} bytes"
            )
        seen.add(member.name)
        yield member.name, (file.tell(), member.size)
        file.seek(member.size + -member.size % _BLOCK, os.SEEK_CUR)
