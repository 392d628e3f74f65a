"""Fetches a file from an address or a directory: with progress, goes on where it stopped, checked at the end."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlsplit

import httpx

from app.datasets.decoding import Beat
from app.datasets.published import PublishedDataset, PublishedFile
from app.errors import DomainError, Invalid, TooLarge
from app.hosts import is_loopback, is_public, resolve

log = logging.getLogger(__name__)

CHECKSUMS = "SHA256SUMS"
"""The file in which a mirror names checksums of its own, as `sha256sum` writes it."""

_CHUNK = 1 << 16
_TRIES = 5
_PAUSE_SECONDS = 1.0
_RESOLVE_SECONDS = 30.0
_CHECKSUMS_BYTES = 1 << 16
_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](?:\./)?([^/]+)")
_PASSING = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT)


class DownloadFailed(DomainError):
    """A file cannot be had, now or at all; what has arrived of it is kept."""

    default_code = "download-failed"


class _Interrupted(Exception):
    """The transfer broke off and may go on."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the files of a data set are.

    Attributes:
        place: an address, or a directory of this machine.
        is_mirror: whether the operator has named it, instead of those who have published the data set.
    """

    place: str
    is_mirror: bool

    @classmethod
    def of(cls, dataset: PublishedDataset, mirror: str | None) -> Origin:
        """Return where a data set is published, or where a mirror has it: in a folder of its name."""
        if mirror is None:
            return cls(dataset.address, is_mirror=False)
        return cls(f"{mirror.rstrip('/')}/{dataset.name}", is_mirror=True)

    @property
    def remote(self) -> bool:
        """Whether it is an address."""
        return urlsplit(self.place).scheme in ("http", "https")

    def file(self, name: str) -> str:
        """Return the address or path of a file."""
        return f"{self.place}/{quote(name)}" if self.remote else str(Path(self.place) / name)

    def shown(self, name: str = "") -> str:
        """Return the address of a file, or of them all, for callers: no password, and no directory of the server."""
        if self.remote:
            address = self.file(name) if name else self.place
            parts = urlsplit(address)
            return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        return f"{'/'.join(filter(None, (Path(self.place).name, name)))} in the mirror of this server"

    def client(self) -> httpx.Client:
        """Make what asks an address for files; it follows a few redirects."""
        host = urlsplit(self.place).hostname or ""
        checks: list[Callable[..., Any]] = [] if self.is_mirror else [partial(_check_hop, host)]
        return httpx.Client(
            timeout=30.0,
            follow_redirects=True,
            max_redirects=5,
            # a proxy of the environment is for what is far away
            trust_env=not is_loopback(host),
            event_hooks={"request": checks},
        )


def checksums(origin: Origin) -> dict[str, str]:
    """Return the checksums that a mirror names by file; none when it has no such list."""
    where = origin.file(CHECKSUMS)
    try:
        if origin.remote:
            with origin.client() as client, client.stream("GET", where) as answer:
                if answer.status_code != HTTPStatus.OK:
                    return {}
                text = b"".join(answer.iter_bytes(_CHUNK))[:_CHECKSUMS_BYTES].decode(
                    "utf-8", errors="replace"
                )
        else:
            text = Path(where).read_text(encoding="utf-8", errors="replace")[:_CHECKSUMS_BYTES]
    except (OSError, httpx.HTTPError):
        return {}
    found = (_LINE.fullmatch(line.strip()) for line in text.splitlines())
    return {match.group(2): match.group(1).lower() for match in found if match}


def fetch(origin: Origin, file: PublishedFile, sha256: str, folder: Path, most: int, beat: Beat) -> Path:
    """Fetch a file into a folder, unless it is there, and return its path.

    What an earlier call has fetched of it, in a file ending in `.part`, is not asked for again.

    Args:
        origin: where from.
        file: which.
        sha256: what its checksum must be.
        folder: where to.
        most: the most bytes that it may have.
        beat: called with the progress.

    Raises:
        DownloadFailed: it is not there, or cannot be reached any more.
        Invalid: its checksum is another one.
        TooLarge: it is larger than that.
        Interrupted, StaleAttempt: as the heartbeat does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target, part = folder / file.name, folder / f"{file.name}.part"
    if target.exists():
        if _checksum(target) == sha256:
            return target
        target.unlink()
    begun = part.exists()
    _transfer(origin, file, part, most, beat)
    found = _checksum(part)
    if found != sha256 and begun:
        # The part may have been of another version of the file.
        part.unlink()
        _transfer(origin, file, part, most, beat)
        found = _checksum(part)
    if found != sha256:
        part.unlink()
        raise Invalid(
            f"{origin.shown(file.name)} has the checksum {found} instead of {sha256}; it was changed or damaged. "
            f"A mirror that has another edition of it names its checksum in {CHECKSUMS}",
            code="checksum-mismatch",
        )
    with part.open("rb") as written:
        os.fsync(written.fileno())
    part.replace(target)
    return target


def _transfer(origin: Origin, file: PublishedFile, part: Path, most: int, beat: Beat) -> None:
    for attempt in range(1, _TRIES + 1):
        try:
            if origin.remote:
                _download(origin, file, part, most, beat)
            else:
                _copy(origin, file, part, most, beat)
        except (_Interrupted, httpx.TransportError) as error:
            have = part.stat().st_size if part.exists() else 0
            log.warning("%s broke off after %d bytes, attempt %d: %s", file.name, have, attempt, error)
            if attempt == _TRIES:
                raise DownloadFailed(
                    f"{origin.shown(file.name)} broke off {_TRIES} times, the last time after {have} bytes: {error}. "
                    "What has arrived is kept; ask again to go on"
                ) from error
            _wait(_PAUSE_SECONDS * attempt, beat, _progress(file, have))
        else:
            return


def _download(origin: Origin, file: PublishedFile, part: Path, most: int, beat: Beat) -> None:
    address, called = origin.file(file.name), origin.shown(file.name)
    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with origin.client() as client, client.stream("GET", address, headers=headers) as answer:
        status = answer.status_code
        if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            return  # nothing is left of it; the checksum tells whether it is the file
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _PASSING:
            raise _Interrupted(f"the server answered {status}")
        if status == HTTPStatus.PARTIAL_CONTENT:
            if not answer.headers.get("content-range", "").startswith(f"bytes {have}-"):
                part.unlink()
                raise _Interrupted("the server sent another part than the one that is missing")
        elif status == HTTPStatus.OK:
            have = 0
        else:
            raise DownloadFailed(f"{called} cannot be had: the server answered {status}")
        length = answer.headers.get("content-length", "")
        total = have + int(length) if length.isdecimal() else None
        with part.open("ab" if have else "wb") as target:
            # Without a size of pieces: what has arrived when it breaks off is not held back.
            for piece in answer.iter_raw():
                have += len(piece)
                _check_size(called, have, most)
                target.write(piece)
                beat(_progress(file, have, total))


def _copy(origin: Origin, file: PublishedFile, part: Path, most: int, beat: Beat) -> None:
    source = Path(origin.file(file.name))
    have = part.stat().st_size if part.exists() else 0
    try:
        total = source.stat().st_size
        if have > total:
            have = 0
        content = _open_mirror(source)
        with content, part.open("ab" if have else "wb") as target:
            content.seek(have)
            while piece := content.read(_CHUNK):
                have += len(piece)
                _check_size(origin.shown(file.name), have, most)
                target.write(piece)
                beat(_progress(file, have, total))
    except FileNotFoundError as error:
        raise DownloadFailed(f"the mirror has no {source.parent.name}/{source.name}") from error


def _open_mirror(source: Path) -> IO[bytes]:
    """Open a file of a mirror; that it may not be read is no fault of our own disk."""
    try:
        return source.open("rb")
    except PermissionError:
        raise DownloadFailed(f"the mirror does not let us read {source.name}") from None


def _check_size(where: str, size: int, most: int) -> None:
    if size > most:
        raise TooLarge(f"{where} is larger than {most} bytes, the most that is downloaded")


def _progress(file: PublishedFile, have: int, total: int | None = None) -> dict[str, object]:
    return {
        "stage": "downloading",
        "file": file.name,
        "bytes": have,
        "of_bytes": total,
        "fraction": have / total if total else 0.0,
    }


def _wait(seconds: float, beat: Beat, progress: dict[str, object]) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        beat(progress)
        time.sleep(min(left, 0.2))


def _check_hop(origin_host: str, request: httpx.Request) -> None:
    """Refuse to be sent on from the internet to what only this machine can reach.

    Raises:
        DownloadFailed: that is where it goes.
        _Interrupted: nobody says in time where.
    """
    host, port = request.url.host, request.url.port
    if host == origin_host:
        return
    try:
        addresses = resolve(host, port or 443, _RESOLVE_SECONDS)
    except TimeoutError:
        raise _Interrupted(f"the name {host} was not resolved in time") from None
    except OSError:
        return  # a proxy of the environment may know it
    if not all(map(is_public, addresses)):
        raise DownloadFailed(f"{origin_host} has sent on to {host}, which is not on the public internet")


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
