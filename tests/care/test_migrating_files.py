"""Files go from a data directory to an object store and back: what rows name, by its checksum, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import obstore
import pytest

from app.care.check import check
from app.care.migrate_artifacts import migrate_artifacts
from app.files import paths
from app.files.artifacts import LocalArtifacts
from app.files.bucket.opening import open_artifacts
from app.files.locks import FileLock
from app.jobs.ownership import MARK, bear_mark
from app.keys.signed import FILE as SIGNING_KEY
from app.settings import Settings
from app.store import Store
from app.store.database import DATABASE_NAME
from tests.care.installation import as_json, at, run
from tests.care.test_backups import content
from tests.care.test_check import execute, held
from tests.cluster.seaweed import S3Server, store_of

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]


@pytest.fixture
def there(installation: Path, s3: S3Server, prefix: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The installation with its files in a bucket, where nothing is yet; commands know how to reach it."""
    given = s3.settings(prefix)
    for name, value in given.items():
        if name != "ARTIFACTS_URL":
            monkeypatch.setenv(f"CONVSERVE_{name}", value)
    return Settings(data_dir=installation, **{name.lower(): value for name, value in given.items()})


def url(settings: Settings) -> str:
    assert settings.artifacts_url is not None
    return settings.artifacts_url


def two(installation: Path) -> tuple[str, str]:
    """Return two files of which checksums are recorded."""
    first, *_, last = (path.relative_to(installation).as_posix() for path in held(installation))
    return first, last


def whole(files: dict[str, bytes]) -> dict[str, bytes]:
    """Return the files that can belong to rows."""
    return {
        name: each
        for name, each in files.items()
        if not name.startswith(("care/", "cache/")) and "lock" not in name
    }


def test_all_files_go_there_and_come_back(installation: Path, there: Settings, tmp_path: Path) -> None:
    LocalArtifacts(installation).write_new(SIGNING_KEY, b"of addresses")
    before = whole(content(installation))
    done = as_json("migrate-artifacts", installation, url(there))
    assert (done["ok"], done["passed_over"], done["damaged"], done["in_use"]) == (True, 0, [], None)
    assert done["files"] == check(there).files
    bucket = store_of(there)
    sizes = {file["path"]: file["size"] for page in obstore.list(bucket) for file in page}
    assert done["bytes"] == sum(sizes[name] for name in sizes if name not in (MARK, SIGNING_KEY))
    assert check(there).findings == []
    again = as_json("migrate-artifacts", installation, url(there))
    assert again == done | {"passed_over": done["files"]}
    assert whole(content(installation)) == before, "where they came from they stay"
    new = tmp_path / "new"
    new.mkdir()
    (new / DATABASE_NAME).write_bytes((installation / DATABASE_NAME).read_bytes())
    said = run("migrate-artifacts", url(there), new)
    assert f"{done['files']} files" in said
    assert "0 were there already" in said
    carried = content(new)
    assert whole(carried) == {name: before[name] for name in whole(carried)}
    assert len(whole(carried)) == done["files"]
    assert (new / SIGNING_KEY).read_bytes() == b"of addresses"
    assert check(at(new)).findings == []


def test_one_that_is_killed_goes_on_where_it_was(installation: Path, there: Settings) -> None:
    command = [sys.executable, "-m", "tests.care.moving", "files", "5", str(installation), url(there)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -9
    done = as_json("migrate-artifacts", installation, url(there))
    assert (done["ok"], done["passed_over"]) == (True, 5)
    assert check(there).findings == []


def test_what_is_there_and_not_as_it_should_be_is_written_anew(installation: Path, there: Settings) -> None:
    files = as_json("migrate-artifacts", installation, url(there))["files"]
    one, other = two(installation)
    bucket = store_of(there)
    obstore.put(bucket, one, b"of another size", attributes={"sha256": "0" * 64})
    # as by a tool that copies bytes alone
    obstore.put(bucket, other, (installation / other).read_bytes())
    assert {finding.name for finding in check(there).findings} == {one, other}
    assert as_json("migrate-artifacts", installation, url(there))["passed_over"] == files - 2
    assert check(there).findings == []


def test_debris_and_damage_stay_behind(installation: Path, there: Settings) -> None:
    damaged, lost = two(installation)
    LocalArtifacts(installation).write("models/model_gone.safetensors", b"left")
    flipped = bytearray((installation / damaged).read_bytes())
    flipped[-1] ^= 1
    (installation / damaged).write_bytes(flipped)
    (installation / lost).unlink()
    done = as_json("migrate-artifacts", installation, url(there), status=1)
    assert {fault["name"] for fault in done["damaged"]} == {damaged, lost}
    assert done["left"] == ["models/model_gone.safetensors"]
    artifacts = open_artifacts(there)
    assert not any(map(artifacts.exists, (damaged, lost, "models/model_gone.safetensors")))
    said = run("migrate-artifacts", installation, url(there), status=1)
    assert f"Not carried: {lost} " in said
    assert "1 files belong to no row" in said


def test_a_place_of_others_is_refused(installation: Path, there: Settings) -> None:
    open_artifacts(there).write("models/model_of_others.safetensors", b"theirs")
    assert "models/model_of_others.safetensors" in run(
        "migrate-artifacts", installation, url(there), status=1
    )
    assert open_artifacts(there).names("models") == ["models/model_of_others.safetensors"]


def test_a_place_of_another_installation_is_refused(
    installation: Path, there: Settings, tmp_path: Path
) -> None:
    open_artifacts(there).write_new(MARK, b"theirs")
    assert "holds the files of another database" in run(
        "migrate-artifacts", installation, url(there), status=1
    )
    assert open_artifacts(there).names("models") == []


def test_what_the_first_run_carried_and_was_deleted_since_is_no_obstacle(
    installation: Path, there: Settings
) -> None:
    as_json("migrate-artifacts", installation, url(there))
    with closing(Store(installation)) as store:
        assert bear_mark(store, open_artifacts(there))
        model = next(model for model in store.files.models() if not model.builtin)
        store.models.delete(model.id)
    (installation / model.path).unlink()
    assert as_json("migrate-artifacts", installation, url(there))["ok"]
    assert open_artifacts(there).exists(model.path), "for clean-up, which has its own reasons to wait"


def test_beside_a_server_it_is_said_that_there_may_be_more(installation: Path, there: Settings) -> None:
    with FileLock(installation / "server.lock") as lock:
        lock.acquire()
        said = run("migrate-artifacts", installation, url(there), status=1)
        assert "There may be more by now" in said
    assert as_json("migrate-artifacts", installation, url(there))["ok"]


@pytest.mark.parametrize("change", ["starts", "stops"])
def test_a_server_that_is_there_for_a_part_of_the_time_may_have_written_more(
    change: str, installation: Path, there: Settings
) -> None:
    with FileLock(installation / "server.lock") as lock:

        def meanwhile(number: int, *_: int) -> None:
            if number == 1:
                lock.acquire() if change == "starts" else lock.release()

        if change == "stops":
            lock.acquire()
        done = migrate_artifacts(at(installation), there, meanwhile)
    assert str(done.in_use).startswith("a server has")
    assert not done.ok


def test_a_log_that_has_grown_there_stays(installation: Path, there: Settings) -> None:
    """A server has gone on there with a job, and somebody runs the command once more."""
    as_json("migrate-artifacts", installation, url(there))
    artifacts = open_artifacts(there)
    log = next(name for name in content(installation) if name.endswith(".log"))
    longer = (installation / log).read_bytes() + b"and on"
    artifacts.write(log, longer)
    assert as_json("migrate-artifacts", installation, url(there))["ok"]
    assert b"".join(artifacts.chunks(log)) == longer


def test_what_can_be_the_name_of_no_file_is_said_to_be_damaged(installation: Path, there: Settings) -> None:
    execute(installation, "UPDATE models SET path = '../elsewhere' WHERE NOT builtin")
    done = as_json("migrate-artifacts", installation, url(there), status=1)
    assert [fault["name"] for fault in done["damaged"]] == ["'../elsewhere'"]


def test_locks_of_jobs_are_files_of_nobody(installation: Path, there: Settings) -> None:
    """A server whose files are in a bucket leaves them in its data directory, where the files may come back to."""
    assert as_json("migrate-artifacts", installation, url(there))["ok"]
    for folder in ("models", "datasets", "jobs"):
        shutil.rmtree(installation / folder)
    with closing(Store(installation)) as store:
        of_job = next(iter(store.jobs.identifiers()))
    with FileLock(installation / paths.lock(of_job)) as lock:
        lock.path.parent.mkdir(parents=True)
        lock.acquire()
    assert (installation / paths.lock(of_job)).exists()
    assert as_json("migrate-artifacts", url(there), installation)["ok"]
    assert check(at(installation)).findings == []


def test_places_that_are_none(installation: Path, there: Settings, tmp_path: Path) -> None:
    assert "name a directory, and" in run("migrate-artifacts", installation, tmp_path, status=1)
    assert "name a directory, and" in run("migrate-artifacts", url(there), url(there), status=1)
    assert "TO: write s3://" in run("migrate-artifacts", installation, "s3://B/", status=1)
    assert "it is no data directory" in run("migrate-artifacts", tmp_path / "none", url(there), status=1)
    assert not (tmp_path / "none").exists()
