"""Files in an object store that have lost what was kept beside them, by a tool that copies bytes alone, are whole."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import obstore
import pytest

from app.builtin.install import JOB_ID, MODEL_ID, install
from app.care.backup import back_up
from app.care.check import check
from app.care.installation import open_store
from app.care.migrate_artifacts import migrate_artifacts
from app.care.repository import Repository
from app.files import paths
from app.files.bucket.opening import open_artifacts
from app.jobs.ownership import MARK
from app.settings import Settings
from tests.care.installation import at, restored
from tests.care.test_backups import content
from tests.care.test_shared_services import names, read, restore_from
from tests.cluster.seaweed import S3Server, store_of

pytestmark = pytest.mark.cluster


@pytest.fixture
def copied(archive: Path, s3: S3Server, prefix: str, tmp_path: Path) -> Settings:
    """An installation whose files a tool has copied to where they are."""
    given = {name.lower(): value for name, value in s3.settings(prefix).items()}
    settings = Settings(data_dir=tmp_path / "shared", **given)
    restore_from(archive, settings)
    store, artifacts = store_of(settings), open_artifacts(settings)
    for name in (MARK, *names(settings)):
        obstore.put(store, name, read(artifacts, name))
    return settings


def recorded(settings: Settings) -> dict[str, str]:
    """Return the checksums of files that are recorded."""
    with closing(open_store(settings)) as store:
        files = store.files.recorded()
        ends = {
            job.checkpoint["name"]: job.checkpoint["sha256"] for job in store.files.jobs() if job.checkpoint
        }
        models = {model.path: model.sha256 for model in store.files.models()}
    there = set(names(settings))
    found = {name: file.sha256 for name, file in files.items()} | ends | models
    return {name: sha256 for name, sha256 in found.items() if name in there}


def test_a_check_says_so_and_a_repair_deletes_none(copied: Settings) -> None:
    files = recorded(copied)
    before = {name: read(open_artifacts(copied), name) for name in names(copied)}
    found = check(copied).findings
    assert {finding.name: finding.kind for finding in found} == dict.fromkeys(files, "damaged")
    assert all("no checksum beside it" in finding.fault for finding in found)
    assert all(finding.repaired for finding in check(copied, repair=True).findings)
    assert {name: read(open_artifacts(copied), name) for name in names(copied)} == before
    assert {name: open_artifacts(copied).checksum(name) for name in files} == files
    assert check(copied).findings == []
    with closing(open_store(copied)) as store:
        assert not any("deleted_at" in (job.checkpoint or {}) for job in store.files.jobs())


def test_a_backup_has_them(copied: Settings, archive: Path, tmp_path: Path) -> None:
    target = Repository.make(tmp_path / "backups")
    assert back_up(copied, target).manifest.damaged == ()
    target.close()
    before = content(restored(archive, tmp_path / "before"))
    assert content(restored(target.directory, tmp_path / "after")) == before


def test_what_comes_with_the_package_is_put_back(copied: Settings) -> None:
    artifacts, model = open_artifacts(copied), paths.model(MODEL_ID)
    with closing(open_store(copied)) as store:
        install(store, artifacts)
        obstore.put(store_of(copied), model, read(artifacts, model))
        artifacts.delete(paths.report(JOB_ID))
        assert not artifacts.local_path(model).exists()
        install(store, artifacts)
        assert artifacts.local_path(model).exists()
    assert artifacts.exists(paths.report(JOB_ID))


def test_they_can_be_carried_away(copied: Settings, tmp_path: Path) -> None:
    before = {name: read(open_artifacts(copied), name) for name in names(copied)}
    new = at(copied.data_dir)
    done = migrate_artifacts(copied, new)
    assert done.damaged == []
    assert {name: (new.data_dir / name).read_bytes() for name in before} == before
    assert check(new).findings == []
