"""Checksums of files that never change: there with the row that they belong to, and gone with it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from app.files.artifacts import Written
from app.ids import DATASET, JOB, new_id
from app.store import Store
from app.store.database import DATABASE_NAME
from app.store.files import Unreadable
from app.store.records import ArchitectureRecord, DatasetContents, DatasetRecord, JobRecord, SegmentRecord
from tests.store.databases import only_sqlite


def job(store: Store) -> str:
    """Store a job that a worker has."""
    record = store.jobs.create(JobRecord(new_id(JOB), "training", {"name": "a"}))
    assert store.jobs.claim_next(["training"]) is not None
    return record.id


def test_what_a_job_found_is_recorded_with_its_end_and_goes_with_it(store: Store) -> None:
    identifier = job(store)
    report = Written(f"jobs/{identifier}/report.json", "ab", 3)
    store.jobs.succeed(identifier, 1, found=[report])
    assert store.files.recorded() == {report.name: report}
    store.jobs.delete(identifier)
    assert store.files.recorded() == {}


def test_the_files_of_a_data_set_are_recorded_with_its_contents_and_go_with_it(store: Store) -> None:
    record = store.datasets.create(DatasetRecord(new_id(DATASET), "a"))
    folder = f"datasets/{record.id}/segment-0001"
    images = Written(f"{folder}/images.npy", "ab", 3)
    segments = (SegmentRecord(record.id, 1, 3, folder, "cd"),)
    contents = DatasetContents([], {}, [1, 1, 1], 3, 3, segments=segments, files=(images,))
    store.datasets.finish(record.id, contents)
    assert store.files.recorded() == {images.name: images}
    assert [found.path for found in store.files.segments()] == [folder]
    store.datasets.delete(record.id)
    assert store.files.recorded() == {}


def test_what_is_recorded_later_needs_an_owner(store: Store) -> None:
    identifier = job(store)
    log = Written(f"jobs/{identifier}/report.json", "ab", 3)
    store.files.record([log], job_id="job_gone")
    assert store.files.recorded() == {}
    store.files.record([log], job_id=identifier)
    assert store.files.recorded() == {log.name: log}


@only_sqlite
def test_rows_that_cannot_be_read_are_named_and_hide_no_other(store: Store, tmp_path: Path) -> None:
    good, bad = job(store), job(store)
    store.architectures.create(ArchitectureRecord("arch_a", "a", {}))
    assert store.files.unreadable() == []
    with closing(sqlite3.connect(tmp_path / "data" / DATABASE_NAME)) as database, database:
        database.execute("UPDATE jobs SET request = '{' WHERE id = ?", (bad,))
        database.execute("UPDATE architectures SET architecture = '[]'")
    assert store.files.unreadable() == [Unreadable("architectures", "arch_a"), Unreadable("jobs", bad)]
    assert list(store.files.unfinished_requests()) == [good]
    assert {found.id for found in store.files.jobs()} == {good, bad}
