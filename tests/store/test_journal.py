"""The head of the index of SQLite's journal, as it lies in the memory of this process."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.store.journal import head_of

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/maps").exists(), reason="only Linux tells what is mapped"
)

_WRITE = (
    "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('INSERT INTO t VALUES (1)'); c.commit()"
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "some.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE t (a)")
    return file


@pytest.fixture
def reader(file: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("SELECT * FROM t").fetchall()
        yield connection


def test_every_commit_of_another_process_changes_it(file: Path, reader: sqlite3.Connection) -> None:
    head = head_of(file)
    assert head is not None
    seen = [head.raw]
    for _ in range(3):
        subprocess.run([sys.executable, "-c", _WRITE, str(file)], check=True)
        seen.append(head.raw)
    assert len(set(seen)) == len(seen)


def test_what_is_not_committed_does_not(file: Path, reader: sqlite3.Connection) -> None:
    head = head_of(file)
    assert head is not None
    before = head.raw
    with closing(sqlite3.connect(file)) as writer:
        writer.execute("INSERT INTO t VALUES (1)")
        assert head.raw == before
        writer.commit()
    assert head.raw != before


def test_it_is_that_of_the_file_and_not_of_another(file: Path, reader: sqlite3.Connection) -> None:
    other = file.with_name("other.db")
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE t (a)")
        one, another = head_of(file), head_of(other)
        assert one is not None
        assert another is not None
        before = one.raw
        connection.execute("INSERT INTO t VALUES (1)")
        connection.commit()
        assert one.raw == before


def test_there_is_none_where_nobody_has_the_file_open(file: Path) -> None:
    assert head_of(file) is None
