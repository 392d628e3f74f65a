"""What a check finds, what a repair does about it, and what it never touches."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from app.care.check import check
from app.care.errors import CareError
from app.care.repository import Repository
from app.files.locks import FileLock
from app.jobs.leftovers import SAFE
from app.store import Store
from app.store.database import DATABASE_NAME
from tests.care.conftest import Made
from tests.care.installation import as_json, at, restored, run, unpack


def found(data_dir: Path) -> dict[str, str]:
    """Return what is wrong, by its name."""
    return {finding.name: finding.kind for finding in check(at(data_dir)).findings}


def execute(data_dir: Path, *statements: str) -> None:
    with closing(sqlite3.connect(data_dir / DATABASE_NAME)) as database, database:
        for statement in statements:
            database.execute(statement)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def held(data_dir: Path) -> list[Path]:
    """Return the files that have a recorded checksum."""
    store = Store(data_dir)
    try:
        names = [*store.files.recorded(), *(model.path for model in store.files.models())]
    finally:
        store.close()
    return [data_dir / name for name in sorted(names) if (data_dir / name).exists()]


def test_what_is_whole_is_whole_also_after_a_backup(
    installation: Path, archive: Path, tmp_path: Path
) -> None:
    assert as_json("check", "--data-dir", installation)["findings"] == []
    new = restored(archive, tmp_path / "new")
    report = check(at(new))
    assert (report.ok, report.findings, report.in_use) == (True, [], False)
    assert report.files >= len(held(new)) > 5
    assert check(at(new), quick=True).bytes == 0


@pytest.mark.parametrize(("change", "kind"), [(Path.unlink, "missing"), (flip, "damaged"), (cut, "damaged")])
def test_every_file_is_looked_at(installation: Path, change: Callable[[Path], None], kind: str) -> None:
    files = held(installation)
    for path in files:
        change(path)
    names = {path.relative_to(installation).as_posix() for path in files}
    assert found(installation) == dict.fromkeys(names, kind)
    quickly = {finding.name for finding in check(at(installation), quick=True).findings}
    assert quickly == (set() if change is flip else names)


def test_checksums_that_are_missing_are_recorded_once(installation: Path) -> None:
    whole = held(installation)
    execute(installation, "DELETE FROM files")
    first = check(at(installation))
    assert first.ok
    assert first.recorded == len([path for path in whole if path.parent.name != "models"])
    assert check(at(installation)).recorded == 0
    assert held(installation) == whole


def test_a_segment_that_was_never_checked_is_not_believed(installation: Path) -> None:
    execute(installation, "DELETE FROM files")
    images = next((installation / "datasets").rglob("images.npy"))
    flip(images)
    segment = images.parent.relative_to(installation).as_posix()
    assert found(installation) == {segment: "damaged"}
    assert found(installation) == {segment: "damaged"}, "nothing of it was recorded as good"


DEBRIS = (
    "models/model_gone.safetensors",
    "models/.tmp-0123",
    "uploads/0123abcd",
    "jobs/job_gone/attempt-1.log",
    "datasets/ds_gone/segment-0001/images.npy",
    "features/model_gone.digits.ab.0.npy",
    "care/0123/0",
    "restoring/new/models/model_1.safetensors",
)


def litter(data_dir: Path) -> set[str]:
    """Leave what processes leave that die; return what is to be found of it."""
    store = Store(data_dir)
    done = next(job.id for job in store.files.jobs() if job.kind == "training" and job.checkpoint)
    dataset = next(path for path in (data_dir / "datasets").iterdir())
    store.close()
    job = next(path for path in (data_dir / "jobs").iterdir() if path.name == done)
    of_rows = (f"jobs/{job.name}/part-1.rows", f"datasets/{dataset.name}/segment-0009/images.npy")
    for name in (*DEBRIS, *of_rows):
        path = data_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"left")
    whole = {
        "jobs/job_gone",
        "datasets/ds_gone",
        "care/0123",
        "restoring",
        f"datasets/{dataset.name}/segment-0009",
    }
    files = {name for name in DEBRIS if name.count("/") == 1}
    return whole | files | {of_rows[0]}


def test_debris_is_found_and_removed_and_nothing_else(installation: Path) -> None:
    before = {path for path in installation.rglob("*") if path.is_file()}
    left = litter(installation)
    assert found(installation) == dict.fromkeys(left, "debris")
    said = as_json("check", "--data-dir", installation, "--repair")
    assert {finding["name"]: finding["repaired"] for finding in said["findings"]} == dict.fromkeys(
        left, "removed"
    )
    assert check(at(installation)).findings == []
    assert {path for path in installation.rglob("*") if path.is_file()} - before <= {
        installation / "server.lock",
        installation / f"{DATABASE_NAME}-wal",
        installation / f"{DATABASE_NAME}-shm",
    }
    assert all(path.exists() for path in before if "-wal" not in path.name and "-shm" not in path.name)


def test_beside_a_server_what_is_young_may_be_about_to_get_its_row(installation: Path) -> None:
    left = litter(installation)
    with FileLock(installation / "server.lock") as lock:
        lock.acquire()
        # those that nobody can be about to use
        sure = {name for name in left if name.startswith(("features/", "care/", "restoring"))}
        assert set(found(installation)) == sure
        long_ago = time.time() - SAFE - 1
        for name in left:
            os.utime(installation / name, (long_ago, long_ago))
        assert set(found(installation)) == left


def test_a_lost_model_is_not_given_up(
    installation: Path, repository: Repository, made: Made, tmp_path: Path
) -> None:
    models = sorted((installation / "models").glob("*.safetensors"))
    flip(models[0])
    said = run("check", "--data-dir", installation, "--repair", status=1)
    assert f"damaged: models/{models[0].name} " in said
    assert "SHA-256" in said
    assert models[0].exists(), "it may be worth something to somebody"
    again = as_json("check", "--data-dir", installation, "--repair", "--from", repository.directory)
    assert [finding["repaired"] for finding in again["findings"]] == ["put back from a backup"]
    assert models[0].read_bytes() == (made.installation / "models" / models[0].name).read_bytes()
    assert check(at(installation)).findings == []


def test_a_lost_checkpoint_of_a_job_that_has_ended_is_noted(installation: Path) -> None:
    store = Store(installation)
    ended = next(job for job in store.files.jobs() if job.checkpoint and job.status == "succeeded")
    assert ended.checkpoint is not None
    (installation / ended.checkpoint["name"]).unlink()
    (finding,) = check(at(installation), repair=True).findings
    assert finding.repaired is not None
    assert finding.repaired.startswith("noted")
    assert "deleted_at" in (store.jobs.get(ended.id).checkpoint or {})
    store.close()
    assert check(at(installation)).findings == []


def test_rows_that_cannot_be_read_are_named(installation: Path) -> None:
    execute(
        installation,
        "UPDATE architectures SET architecture = '['",
        "PRAGMA foreign_keys = OFF",
        "INSERT INTO epochs (job_id, epoch, figures) VALUES ('job_gone', 1, '{}')",
    )
    report = check(at(installation), repair=True)
    assert {finding.kind for finding in report.findings} == {"row", "database"}
    assert not report.ok


def test_an_installation_of_an_earlier_version_is_checked_as_it_is(tmp_path: Path) -> None:
    old = unpack(tmp_path)
    assert found(old) == {DATABASE_NAME: "database"}
    with pytest.raises(CareError, match="upgrade"):
        check(at(old), repair=True)
    next((old / "models").glob("*.safetensors")).unlink()
    assert sorted(found(old).values()) == ["database", "missing"]
