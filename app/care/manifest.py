"""What a backup consists of: a list of files with their checksums, written when all of them are there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.care.errors import BadBackup
from app.care.holdings import DIRECTORIES
from app.files.artifacts import Written

MAX_BYTES = 256 * 1024 * 1024
"""Of a manifest that is read: more than a million files have."""
ENDING = ".json"
_DIGITS = 16
_NAME = r"^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*){0,5}$"


class Entry(BaseModel):
    """A file of a backup: its name in the data directory, its checksum and its size."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=_NAME, max_length=200)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(ge=0, strict=True)]

    @classmethod
    def of(cls, name: str, written: Written) -> Self:
        """Return the entry of a file."""
        return cls(name=name, sha256=written.sha256, bytes=written.bytes)


class Fault(BaseModel):
    """Something that was wrong already when a backup was made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """Of the file or directory."""
    fault: str

    def __str__(self) -> str:
        return f"{self.name} {self.fault}"


class Manifest(BaseModel):
    """A backup."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    created_at: datetime
    """The moment that the rows are of."""
    version: str
    """Of the program that wrote it."""
    tables: str
    """The version of the tables of the database."""
    database: Entry
    files: tuple[Entry, ...]
    damaged: tuple[Fault, ...] = ()
    """Files that were missing or not as they were written when the backup was made."""

    @model_validator(mode="after")
    def _lead_nowhere_else(self) -> Self:
        names = {file.name for file in self.files}
        if len(names) != len(self.files):
            raise ValueError("two files have the same name")
        for name in names:
            path = PurePosixPath(name)
            if path.parts[0] not in DIRECTORIES or len(path.parts) == 1:
                raise ValueError(f"{name!r} is in no directory of an installation")
            if not names.isdisjoint(map(str, path.parents)):
                raise ValueError(f"{name!r} is in a directory that is a file")
        return self

    @property
    def size(self) -> int:
        """The bytes of all that is in it, as it is restored."""
        return sum(entry.bytes for entry in self.entries())

    def entries(self) -> Iterator[Entry]:
        """Return the files, and at last the database."""
        yield from self.files
        yield self.database

    def write(self, number: int = 1) -> tuple[str, bytes]:
        """Return the name of the file of a backup, which has a part of its checksum, and what is in that file.

        Args:
            number: which backup of several it is: clocks are set back, and names have an order all the same.
        """
        content = self.model_dump_json(indent=1).encode()
        return f"{number:06}-{self.created_at:%Y%m%dT%H%M%SZ}-{_digest(content)}{ENDING}", content

    @classmethod
    def read(cls, name: str, content: bytes) -> Self:
        """Read such a file.

        Raises:
            BadBackup: it is not as it was written, or of a later version.
        """
        if name.removesuffix(ENDING).rpartition("-")[2] != _digest(content):
            raise BadBackup(f"the list of files {name} is not as it was written: its checksum is another")
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise BadBackup(f"the list of files {name} cannot be used: {place} {first['msg']}") from error


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_DIGITS]
