"""What SQLite and the system say of a disk becomes an error with words of its own, and no path of the server."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from app.errors import DiskFull, StorageFault, StorageUnavailable
from app.files.faults import storage_fault


def full(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA max_page_count = 4")
        database.execute("CREATE TABLE t (x)")
        database.execute("INSERT INTO t VALUES (zeroblob(100000))")


def read_only(file: Path) -> None:
    sqlite3.connect(file).close()
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        database.execute("CREATE TABLE t (x)")


def gone(file: Path) -> None:
    with closing(sqlite3.connect(f"file:{file}?mode=rw", uri=True)) as database:
        database.execute("CREATE TABLE t (x)")


def locked(file: Path) -> None:
    with closing(sqlite3.connect(file)) as first, closing(sqlite3.connect(file, timeout=0)) as second:
        first.execute("BEGIN IMMEDIATE")
        second.execute("BEGIN IMMEDIATE")


def damaged(file: Path) -> None:
    file.write_bytes(b"no database" * 500)
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE t (x)")


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (full, DiskFull, "the disk of the server is full"),
        (read_only, StorageUnavailable, "the database is read-only"),
        (gone, StorageUnavailable, "cannot be opened"),
        (locked, StorageUnavailable, "somebody else has been writing for too long"),
        (damaged, StorageUnavailable, "the database is damaged"),
    ],
)
def test_what_sqlite_says(
    tmp_path: Path, make: Callable[[Path], None], kind: type[StorageFault], words: str
) -> None:
    with pytest.raises(sqlite3.Error) as caught:
        make(tmp_path / "database")
    fault = storage_fault(caught.value)
    assert isinstance(fault, kind)
    assert words in fault.detail


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, DiskFull),
        (errno.EDQUOT, DiskFull),
        (errno.EROFS, StorageUnavailable),
        (errno.EACCES, StorageUnavailable),
        (errno.EIO, StorageUnavailable),
        (errno.ESTALE, StorageUnavailable),
        (errno.EMFILE, StorageUnavailable),
        (errno.ENOENT, None),
        (errno.ECONNRESET, None),
        (errno.EPIPE, None),
    ],
)
def test_what_the_system_says(number: int, kind: type[StorageFault] | None) -> None:
    error = OSError(number, os.strerror(number), "/srv/data/models/secret")
    fault = storage_fault(error)
    assert (fault and type(fault)) == kind
    assert "secret" not in str(fault)


def test_what_is_no_matter_of_storage(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "database")) as database, pytest.raises(sqlite3.Error) as caught:
        database.execute("SELECT nothing FROM nowhere")
    assert storage_fault(caught.value) is None
    assert storage_fault(ValueError("no")) is None
    assert storage_fault(OSError("without a number")) is None
