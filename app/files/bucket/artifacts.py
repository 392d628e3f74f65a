"""Artifacts in an object store: written there before anything names them, and read through copies on this machine."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Any, ClassVar

from app.errors import StorageUnavailable
from app.files import paths
from app.files.artifacts import LocalArtifacts, Stored, Written, check_name, remove_unless_locked
from app.files.bucket.bucket import Bucket, Head
from app.files.bucket.cache import Cache
from app.files.locks import is_locked
from app.log import Log
from app.settings import Settings

log = Log(__name__)

_TRIES = 2
"""How often a file is fetched whose bytes are not those that were written."""
_AT_A_TIME = 1000
_PIECE = 8 << 20
"""Bytes of a file that are asked for at a time by who does not keep a copy."""
_PROBE = "probe"
_SENT_SECONDS = 24 * 3600.0
"""After so long nobody is about to send what has arrived here."""

Transfer = Callable[[], AbstractContextManager[object]]
"""Makes what is to happen around whatever may take long."""


class BucketArtifacts:
    """Artifacts that several machines share.

    The store says which bytes a name has by their SHA-256, which is kept beside them; the copies on this machine are
    kept by it. So what is read is what was written, also where a name was written twice.

    Args:
        settings: where the store and the data directory are.
        pin_seconds: for how long after it was asked for a copy stays for certain.
        transfer: entered while bytes are on their way, which may take long.
    """

    shared: ClassVar[bool] = True

    def __init__(self, settings: Settings, pin_seconds: float, transfer: Transfer = nullcontext) -> None:
        self._here = LocalArtifacts(settings.data_dir)
        self._bucket = Bucket(settings)
        self._cache = Cache(
            settings.data_dir / paths.CACHE, settings.max_cache_bytes, settings.min_free_bytes, pin_seconds
        )
        self._transfer = transfer

    @property
    def root(self) -> Path:
        """The data directory of this machine."""
        return self._here.root

    def write(self, name: str, content: bytes | Callable[[IO[bytes]], Any]) -> Written:
        """Write a file of this machine, send it, and keep it as the copy that is read."""
        check_name(name)
        with self._cache.new_file() as file:
            if callable(content):
                content(file)
            else:
                file.write(content)
            file.flush()
            return self._put(name, Path(file.name))

    def write_new(self, name: str, content: bytes) -> bool:
        """Send bytes that the store refuses where it has the name already."""
        check_name(name)
        return self._bucket.put_new(name, content, hashlib.sha256(content).hexdigest())

    def take_in(self, name: str) -> None:
        """Send what lies at `here`, which is gone from there then; fine if nothing does."""
        path = self.here(name)
        if path.is_file():
            self._put(name, path)

    def bring_back(self, name: str) -> None:
        """Put a copy to `here`, where nothing is, so that more can be written to it."""
        path = self.here(name)
        if not path.exists() and (found := self.local_path(name)).is_file():
            self._here.write(name, found.read_bytes())

    def here(self, name: str) -> Path:
        """Return the path in the data directory of what belongs to this machine alone."""
        return self._here.here(name)

    def local_path(self, name: str) -> Path:
        """Return the path of a copy on this machine that holds what was written; of nothing where there is none."""
        check_name(name)
        with self._transfer():
            for _ in range(_TRIES):
                head = self._bucket.head(name)
                if head is None:
                    break
                copy = self._copy(name, head)
                if copy is not None:
                    return copy
        return self.root / paths.CACHE / "missing" / name

    def exists(self, name: str) -> bool:
        """Tell whether there is a file or directory of this name."""
        check_name(name)
        return self._bucket.head(name) is not None or any(True for _ in self._bucket.everything(name))

    def find(self, name: str) -> Stored | None:
        """Return what is known of a file; None where there is none."""
        check_name(name)
        head = self._bucket.head(name)
        return None if head is None else Stored(name, head.bytes, head.modified)

    def checksum(self, name: str) -> str:
        """Return the SHA-256 of a file in hexadecimal, as it was written and as it is read."""
        check_name(name)
        head = self._bucket.head(name)
        if head is None or head.sha256 is None:
            raise FileNotFoundError(f"there is no {name} in the object store")
        return head.sha256

    def delete(self, name: str) -> None:
        """Remove a file, or a directory and all it holds, from the store and from this machine."""
        self._here.delete(name)
        keys = [name]
        for found in self._bucket.everything(name):
            keys.append(found.name)
            if len(keys) == _AT_A_TIME:
                self._bucket.delete(keys)
                keys = []
        if keys:
            self._bucket.delete(keys)

    def files(self, directory: str) -> list[Stored]:
        """Return the files that are directly in a directory, by name."""
        check_name(directory)
        return sorted(self._bucket.level(directory), key=lambda found: found.name)

    def names(self, directory: str) -> list[str]:
        """Return the names of the files that are directly in a directory; none if it is not there."""
        return [found.name for found in self.files(directory)]

    def folders(self, directory: str, levels: int = 1) -> list[Stored]:
        """Return the directories that are directly in a directory, of the store and of this machine."""
        check_name(directory)
        found = {folder.name: folder for folder in self._here.folders(directory, levels)}
        depth = directory.count("/") + 1 + levels
        for file in self._bucket.everything(directory):
            parts = file.name.split("/")
            if len(parts) > depth:
                name = "/".join(parts[:depth])
                before = found.get(name, Stored(name, 0, 0.0))
                found[name] = Stored(name, before.bytes + file.bytes, max(before.modified, file.modified))
        return [found[name] for name in sorted(found)]

    def everything(self, directory: str) -> Iterator[Stored]:
        """Yield the files that are in a directory, however deep."""
        check_name(directory)
        yield from self._bucket.everything(directory)

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield what is stored of a file, piece by piece; no copy of it is kept."""
        check_name(name)
        head = self._bucket.head(name)
        if head is None:
            raise FileNotFoundError(f"there is no {name} in the object store")
        for start in range(0, head.bytes, _PIECE):
            with self._transfer():
                piece = self._bucket.read(name, start, min(head.bytes, start + _PIECE))
            yield piece

    def bytes(self) -> int:
        """Return the size of all files in the store, and of what is on this machine beside the copies of them."""
        return (
            sum(found.bytes for found in self._bucket.everything()) + self._here.bytes() - self._cache.bytes()
        )

    def mark_used(self, name: str) -> None:
        """Do nothing: a store notes when a file was written, and the copy that it was used."""

    def clean(self, directory: str | None = None, age: float = 0.0) -> None:
        """Remove what writers on this machine that died have left half written, or have not sent."""
        for path in self.half_written(directory, age):
            remove_unless_locked(path)

    def half_written(self, directory: str | None = None, age: float = 0.0) -> Iterator[Path]:
        """Return the files that `clean` removes. Of uploads that break off the store removes what has arrived."""
        yield from self._here.half_written(directory, age)
        if directory in (None, paths.UPLOADS):
            for found in self._here.files(paths.UPLOADS):
                path = self.here(found.name)
                if found.is_older(max(age, _SENT_SECONDS)) and not is_locked(path):
                    yield path

    def probe(self) -> None:
        """Write a few bytes to the store and read them.

        Raises:
            OSError, StorageFault: that cannot be done now.
        """
        # the same each time: several servers try at once
        if not self._bucket.probe(_PROBE, _PROBE.encode()):
            raise StorageUnavailable("the object store does not give back what is written to it")

    def close(self) -> None:
        """Let go of the copies."""
        self._cache.close()

    def _put(self, name: str, path: Path) -> Written:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        size = path.stat().st_size
        with self._transfer():
            self._bucket.put(name, path, sha256)
        self._cache.keep(path, sha256)
        return Written(name, sha256, size)

    def _copy(self, name: str, head: Head) -> Path | None:
        if head.sha256 is None:
            log.error("artifact_without_checksum", name=name)
            return None
        found = self._cache.take(
            head.sha256, head.bytes, lambda start, end: self._bucket.read(name, start, end)
        )
        if found is None:
            log.error("artifact_damaged", name=name, sha256=head.sha256)
        return found
