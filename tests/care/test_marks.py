"""An installation keeps its mark also where its rows are of a version that had none, and are brought forward again."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from app.store import Store
from app.store.database import DATABASE_NAME
from tests.care.installation import unpack


def mark(folder: Path, *changes: str) -> str:
    """Return the mark of the first version's data directory, after changes of its rows."""
    folder.mkdir()
    data_dir = unpack(folder)
    with closing(sqlite3.connect(data_dir / DATABASE_NAME)) as database, database:
        for change in changes:
            database.execute(change)
    with closing(Store(data_dir)) as store:
        store.migrate()
        return store.mark()


def test_copies_of_one_database_have_one_mark(tmp_path: Path) -> None:
    first = mark(tmp_path / "first")
    assert mark(tmp_path / "copy") == first
    assert mark(tmp_path / "of an earlier day", "DELETE FROM models", "DELETE FROM jobs") == first


def test_each_installation_has_its_own(tmp_path: Path) -> None:
    later = "UPDATE datasets SET created_at = '2026-01-01 00:00:00.00000{}' WHERE builtin"
    none = "DELETE FROM segments", "DELETE FROM datasets WHERE builtin"
    broken = "UPDATE datasets SET created_at = 'then' WHERE builtin"
    changes = [(), (later.format(1),), (later.format(2),), none, none, (broken,), (broken,)]
    marks = [mark(tmp_path / str(number), *change) for number, change in enumerate(changes)]
    assert len(set(marks)) == len(marks)
