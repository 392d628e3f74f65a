"""One bucket of an object store, below a prefix: the only one that knows the library, and what its errors mean."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import obstore
from obstore import exceptions
from obstore.store import S3Store

from app.files.artifacts import Stored
from app.files.faults import ObjectStoreFault
from app.settings import Settings

_SHA256 = "sha256"
"""What the checksum of a file is called among the things that the store keeps beside it."""
_PART_BYTES = 8 << 20
_MOST_PARTS = 9_000
"""A little less than S3 takes of one upload."""
_AT_ONCE = 4
"""Parts of one upload that are under way at the same time; each is in memory."""
_AT_A_TIME = 1000
"""Names that are listed, or deleted, with one request."""
_RETRIES: dict[str, Any] = {
    "max_retries": 3,
    "retry_timeout": timedelta(seconds=15),
    "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=2), "base": 2},
}
_NO_RETRIES: dict[str, Any] = {**_RETRIES, "max_retries": 0}
_TIMES: dict[str, Any] = {"connect_timeout": timedelta(seconds=5), "timeout": timedelta(seconds=60)}
_SHORT_TIMES: dict[str, Any] = {"connect_timeout": timedelta(seconds=3), "timeout": timedelta(seconds=5)}
_FULL = re.compile(
    r"\b507\b|InsufficientStorage|QuotaExceeded|StorageFull|no space left|volume.*full", re.IGNORECASE
)

_REFUSED = re.compile(r"\b40[13] (Unauthorized|Forbidden)|necessary privileges|valid authentication")


@dataclass(frozen=True, slots=True)
class Head:
    """What the store says of a file: its size in bytes, when it was written, and its SHA-256 as its writer gave it."""

    bytes: int
    modified: float
    sha256: str | None


class Bucket:
    """Bytes by key. Everything it does may take long, and raises `ObjectStoreFault` while the store is away."""

    def __init__(self, settings: Settings) -> None:
        self._store = _open(settings, _RETRIES, _TIMES)
        self._quick = _open(settings, _NO_RETRIES, _SHORT_TIMES)

    def put(self, key: str, file: Path, sha256: str) -> None:
        """Store a file, in parts where it is large; until the last part is there nothing is seen of it."""
        part = max(_PART_BYTES, file.stat().st_size // _MOST_PARTS + 1)
        with _faults():
            obstore.put(
                self._store,
                key,
                file,
                attributes={_SHA256: sha256},
                chunk_size=part,
                max_concurrency=_AT_ONCE,
            )

    def put_new(self, key: str, content: bytes, sha256: str) -> bool:
        """Store a few bytes unless the key is taken, and tell whether it was free."""
        try:
            with _faults():
                obstore.put(self._store, key, content, attributes={_SHA256: sha256}, mode="create")
        except FileExistsError:
            return False
        return True

    def head(self, key: str) -> Head | None:
        """Return what is known of a file; None where there is none."""
        try:
            with _faults():
                found = obstore.get(self._store, key, options={"head": True})
        except FileNotFoundError:
            return None
        return Head(
            found.meta["size"], found.meta["last_modified"].timestamp(), found.attributes.get(_SHA256)
        )

    def read(self, key: str, start: int, end: int) -> bytes:
        """Return the bytes of a file from one place to before another.

        Raises:
            FileNotFoundError: it is gone.
        """
        with _faults():
            return bytes(obstore.get_range(self._store, key, start=start, end=end))

    def level(self, folder: str) -> list[Stored]:
        """Return the files directly below a folder."""
        with _faults():
            found = obstore.list_with_delimiter(self._store, f"{folder}/")
        return [_stored(item) for item in found["objects"] if _is_below(item, folder)]

    def everything(self, folder: str | None = None) -> Iterator[Stored]:
        """Yield all files below a folder, however deep; read page by page."""
        with _faults():
            pages = obstore.list(self._store, None if folder is None else f"{folder}/", chunk_size=_AT_A_TIME)
        while True:
            with _faults():
                page = next(pages, None)
            if page is None:
                return
            yield from (_stored(item) for item in page if folder is None or _is_below(item, folder))

    def delete(self, keys: Collection[str]) -> None:
        """Delete files; fine where some are not there."""
        try:
            with _faults():
                obstore.delete(self._store, list(keys))
        except FileNotFoundError:
            return

    def probe(self, key: str, content: bytes) -> bool:
        """Write a few bytes, without trying for long, and tell whether they are read again."""
        with _faults():
            obstore.put(self._quick, key, content)
            return bytes(obstore.get(self._quick, key).bytes()) == content


def _open(settings: Settings, retries: dict[str, Any], times: dict[str, Any]) -> S3Store:
    bucket, _, prefix = (settings.artifacts_url or "").removeprefix("s3://").partition("/")
    secret = settings.artifacts_secret_access_key
    given: dict[str, Any] = {
        "region": settings.artifacts_region,
        "endpoint": settings.artifacts_endpoint,
        "access_key_id": settings.artifacts_access_key_id,
        "secret_access_key": None if secret is None else secret.get_secret_value(),
        "checksum_algorithm": "SHA256",
        "client_options": times | ({"allow_http": True} if settings.artifacts_allow_http else {}),
        "retry_config": retries,
    }
    return S3Store(
        bucket,
        prefix=prefix or None,
        **{name: value for name, value in given.items() if value is not None},
    )


def _stored(item: Any) -> Stored:
    return Stored(item["path"], item["size"], item["last_modified"].timestamp())


def _is_below(item: Any, folder: str) -> bool:
    """Tell whether it is a file: some stores list a folder, too, as one of its own name."""
    return bool(item["path"].startswith(f"{folder}/"))


@contextmanager
def _faults() -> Iterator[None]:
    """Say in our words what went wrong in the store.

    Raises:
        FileNotFoundError: there is no such file.
        FileExistsError: there is one already.
        ObjectStoreFault: it cannot be used now.
    """
    try:
        yield
    except exceptions.AlreadyExistsError as error:
        raise FileExistsError(str(error)) from None
    except FileNotFoundError as error:
        if "NoSuchBucket" in str(error):
            raise ObjectStoreFault("has no bucket of the name in CONVSERVE_ARTIFACTS_URL") from None
        raise
    except (exceptions.BaseError, OSError) as error:
        if _REFUSED.search(str(error)):
            raise ObjectStoreFault("refuses the key that it is asked with", _said(error)) from None
        if _FULL.search(str(error)):
            raise ObjectStoreFault("has no room left", _said(error), full=True) from None
        raise ObjectStoreFault(
            "cannot be reached, or does not do what it is asked for", _said(error)
        ) from None


def _said(error: BaseException) -> str:
    """Return the first line of an error: the library adds how it came about on many more."""
    return str(error).partition("\n")[0][:300]
