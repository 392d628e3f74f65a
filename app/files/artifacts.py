"""Files under the data directory: whole or absent, checksummed, and never outside of it."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol

from app.files.locks import is_locked

_TEMPORARY = ".tmp-"
_STALE_SECONDS = 24 * 3600.0
_CHUNK = 1 << 20
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: its name, its SHA-256 in hexadecimal and its size in bytes."""

    name: str
    sha256: str
    bytes: int


class Artifacts(Protocol):
    """Named bytes that outlive processes. Names are relative, with slashes: `models/model_x.safetensors`."""

    def write(self, name: str, content: bytes | Callable[[IO[bytes]], Any]) -> Written:
        """Store bytes, or what a function writes into the file it is given, replacing what was there.

        When this returns, the bytes survive a power cut; when it does not, the name is as it was before.

        Raises:
            ValueError: the name is not one that may be used.
        """

    def local_path(self, name: str) -> Path:
        """Return where the file is, or would be, on this machine; for reading and memory maps."""

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

    def clean(self, directory: str | None = None, age: float = _STALE_SECONDS) -> None:
        """Remove what writers that died have left half written, at least `age` seconds ago."""


class LocalArtifacts:
    """Artifacts in a directory of this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, name: str, content: bytes | Callable[[IO[bytes]], Any]) -> Written:
        """Write under a temporary name, sync, rename, sync the directory."""
        path = self.local_path(name)
        _make_directory(path.parent)
        temporary = path.with_name(f"{_TEMPORARY}{secrets.token_hex(8)}")
        try:
            with temporary.open("xb") as file:
                if callable(content):
                    content(file)
                else:
                    file.write(content)
                file.flush()
                os.fsync(file.fileno())
            # Of what reached the disk: a writer may have moved about in the file.
            written = Written(name, _checksum(temporary), temporary.stat().st_size)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_directory(path.parent)
        return written

    def local_path(self, name: str) -> Path:
        """Return the path of a name.

        Raises:
            ValueError: a part of it could lead elsewhere or is hidden.
        """
        if not all(_PART.fullmatch(part) for part in name.split("/")):
            raise ValueError(f"{name!r} is not the name of an artifact")
        return self.root / PurePosixPath(name)

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
        path = self.local_path(directory)
        if not path.is_dir():
            return []
        found = (entry.name for entry in path.iterdir() if entry.is_file())
        return sorted(f"{directory}/{name}" for name in found if not name.startswith(_TEMPORARY))

    def bytes(self) -> int:
        """Return the size of all files, of the database too; a walk through everything, to be taken by a thread."""
        total = 0
        for folder, _, files in os.walk(self.root):
            for name in files:
                # Files come and go while we walk.
                with suppress(FileNotFoundError):
                    total += (Path(folder) / name).lstat().st_size
        return total

    def clean(self, directory: str | None = None, age: float = _STALE_SECONDS) -> None:
        """Remove what writers that died have left half written.

        Args:
            directory: where to look, everywhere by default.
            age: the least number of seconds since the last write; by default a day, because workers of a
                server that died may be writing at this moment. What somebody holds locked stays.
        """
        root = self.root if directory is None else self.local_path(directory)
        oldest = time.time() - age
        for path in root.rglob(f"{_TEMPORARY}*"):
            try:
                if path.stat().st_mtime <= oldest and not is_locked(path):
                    path.unlink()
            except FileNotFoundError:
                continue


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
        _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
