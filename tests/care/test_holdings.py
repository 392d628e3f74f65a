"""Every kind of file that a row can have is in a backup, and is missed by a check."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.care import backup
from app.care.backup import back_up
from app.care.check import check
from app.care.holdings import Holdings, holdings
from app.care.repository import Repository
from app.files import paths
from app.files.artifacts import LocalArtifacts
from app.ids import DATASET, JOB, new_id
from app.store import Store
from app.store.records import DatasetRecord, JobRecord
from tests.care.installation import at, restored


@pytest.fixture
def files(installation: Path) -> list[str]:
    """Files of jobs of each kind, some of which are at work, in an installation."""
    store, artifacts = Store(installation), LocalArtifacts(installation)
    made = []

    def write(name: str) -> str:
        artifacts.write(name, name.encode())
        made.append(name)
        return name

    uploads = [write(f"{paths.UPLOADS}/{number:032x}") for number in range(4)]
    dataset = store.datasets.create(DatasetRecord(new_id(DATASET), "new"))
    reads = {"upload": uploads[0], "labels": uploads[1], "dataset_id": dataset.id}
    store.jobs.create(JobRecord(new_id(JOB), "ingestion", reads))
    store.jobs.create(JobRecord(new_id(JOB), "addition", {"files": [{"upload": uploads[2]}]}))

    begun = store.jobs.create(JobRecord(new_id(JOB), "training", {"initial_weights": "model_x"}))
    write(paths.initial(begun.id))

    batch = store.jobs.create(JobRecord("batch_1", "batch_prediction", {"upload": uploads[3]}))
    assert store.jobs.claim_next(["batch_prediction"]) is not None
    for part in (1, 2):
        write(paths.rows(batch.id, part))
    store.jobs.record_checkpoint(batch.id, 1, {"parts": 2, "images": 2, "failed": 0})
    write(paths.log(batch.id, 1))

    evaluation = store.jobs.create(JobRecord("eval_1", "evaluation", {}))
    assert store.jobs.claim_next(["evaluation"]) is not None
    found = [
        artifacts.write(name(evaluation.id), b"found")
        for name in (paths.report, paths.evaluated, paths.mistakes)
    ]
    store.jobs.succeed(evaluation.id, 1, found=found)
    # one of an earlier version, whose findings were not recorded
    old = store.jobs.create(JobRecord("eval_0", "evaluation", {}))
    assert store.jobs.claim_next(["evaluation"]) is not None
    write(paths.report(old.id))
    store.jobs.succeed(old.id, 1)
    store.close()
    return [*made, *(file.name for file in found)]


def test_all_come_back(installation: Path, files: list[str], tmp_path: Path) -> None:
    assert check(at(installation)).findings == []
    target = Repository.make(tmp_path / "backups")
    assert back_up(at(installation), target).manifest.damaged == ()
    target.close()
    new = restored(target.directory, tmp_path / "new")
    assert {name: (new / name).read_bytes() for name in files} == {
        name: (installation / name).read_bytes() for name in files
    }
    assert check(at(new)).findings == []
    store = Store(new)
    assert store.jobs.active() == (), "what ran goes on from the queue"
    assert store.jobs.get("batch_1").attempt == 0, "and has lost no attempt"
    store.close()


def test_each_is_missed(installation: Path, files: list[str]) -> None:
    needed = [name for name in files if not name.endswith(".log")]
    for name in needed:
        (installation / name).unlink()
    found = {finding.name: finding.kind for finding in check(at(installation)).findings}
    assert found == dict.fromkeys(needed, "missing")


def test_what_goes_and_comes_after_the_moment_makes_another_one_necessary(
    installation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, artifacts = Store(installation), LocalArtifacts(installation)
    store.jobs.create(JobRecord("eval_1", "evaluation", {}))
    assert store.jobs.claim_next(["evaluation"]) is not None
    artifacts.write(paths.report("eval_1"), b"of an attempt that died")
    moments = 0

    def change_meanwhile(of_moment: Store, files: LocalArtifacts) -> Holdings:
        nonlocal moments
        moments += 1
        found = holdings(of_moment, files)
        if moments == 1:
            store.jobs.succeed("eval_1", 1, found=[artifacts.write(paths.report("eval_1"), b"what it found")])
            for job in store.files.jobs():
                if job.status == "succeeded" and job.checkpoint:
                    store.finished_jobs.expire_checkpoint(job.id)
                    artifacts.delete(job.checkpoint["name"])
        return found

    monkeypatch.setattr(backup, "holdings", change_meanwhile)
    target = Repository.make(tmp_path / "backups")
    assert back_up(at(installation), target).manifest.damaged == ()
    target.close()
    store.close()
    assert moments == 2
    new = restored(target.directory, tmp_path / "new")
    assert (new / paths.report("eval_1")).read_bytes() == b"what it found"
    assert check(at(new)).findings == []
