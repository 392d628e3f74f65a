"""Checksums of files: of what is read, of what is copied, and what an object store says of a file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import IO

from app.files.artifacts import Artifacts


def digest(chunks: Iterable[bytes]) -> str:
    """Return the SHA-256 of what comes in pieces, in hexadecimal."""
    return copy(chunks, None)


def copy(chunks: Iterable[bytes], file: IO[bytes] | None) -> str:
    """Write what comes in pieces to a file if one is given, and return its SHA-256 in hexadecimal."""
    found = hashlib.sha256()
    for chunk in chunks:
        if file is not None:
            file.write(chunk)
        found.update(chunk)
    return found.hexdigest()


def noted(artifacts: Artifacts, name: str) -> str | None:
    """Return the checksum by which a file is read; None where there is no such file, or none is kept beside it.

    A tool that copies from one object store to another may leave out what is kept beside the bytes. They are whole
    then, and nobody reads them but who looks after them.
    """
    try:
        return artifacts.checksum(name)
    except FileNotFoundError:
        return None
