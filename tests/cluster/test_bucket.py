"""Artifacts in a bucket: nothing is read unchecked, nothing torn is read at all, and faults have words."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import obstore
import pytest

from app.errors import Conflict, DiskFull, StorageUnavailable
from app.files import paths
from app.files.artifacts import Artifacts
from app.files.bucket.opening import open_artifacts
from app.files.faults import ObjectStoreFault, storage_fault
from app.jobs.leftovers import remove_leftovers
from app.jobs.uploads import passed_on
from app.settings import Settings
from app.store import Store
from tests.cluster.seaweed import S3Server

pytestmark = pytest.mark.cluster

ANOTHER = "another-key"
ROOT = Path(__file__).parents[2]
WRITE = """
from app.files.bucket.opening import open_artifacts
from app.settings import load_settings

def write(file):
    for _ in range(64):
        file.write(bytes(4 << 20))
    file.flush()
    print("sent from here on", flush=True)

open_artifacts(load_settings()).write("models/large", write)
print("written", flush=True)
"""


@pytest.fixture
def settings(s3: S3Server, prefix: str, tmp_path: Path) -> Settings:
    return of(s3, prefix, tmp_path / "data")


def of(server: S3Server, prefix: str, data: Path, **changes: Any) -> Settings:
    data.mkdir(exist_ok=True)
    given = {name.lower(): value for name, value in server.settings(prefix).items()}
    return Settings(**given | {"data_dir": data} | changes)


@pytest.fixture
def artifacts(settings: Settings) -> Artifacts:
    return open_artifacts(settings)


@pytest.fixture
def elsewhere(s3: S3Server, prefix: str, tmp_path: Path) -> Artifacts:
    """The same artifacts, as another machine has them."""
    return open_artifacts(of(s3, prefix, tmp_path / "elsewhere"))


def test_every_machine_reads_what_any_has_written(artifacts: Artifacts, elsewhere: Artifacts) -> None:
    large = os.urandom(40 << 20)
    artifacts.write("models/a", large)
    assert elsewhere.local_path("models/a").read_bytes() == large
    elsewhere.write("models/a", b"new")
    assert artifacts.local_path("models/a").read_bytes() == b"new"
    artifacts.delete("models/a")
    assert not elsewhere.local_path("models/a").exists()


def test_what_was_damaged_in_the_store_is_not_read(
    s3: S3Server, prefix: str, artifacts: Artifacts, elsewhere: Artifacts
) -> None:
    written = artifacts.write("models/a", b"what was written")
    artifacts.write("models/b", b"what was written by others")
    store = s3.store(prefix)
    obstore.put(store, "models/a", b"what is damaged!", attributes={"sha256": written.sha256})
    obstore.put(store, "models/b", b"somebody's, without a checksum")
    for name in ("models/a", "models/b"):
        assert not elsewhere.local_path(name).exists()
    with pytest.raises(FileNotFoundError):
        elsewhere.checksum("models/b")
    assert artifacts.local_path("models/a").read_bytes() == b"what was written", "this copy was checked"


def test_of_an_upload_that_is_torn_nothing_is_read(
    s3: S3Server, prefix: str, settings: Settings, elsewhere: Artifacts, begin: Callable[..., Any]
) -> None:
    store = s3.store(prefix)
    environment = os.environ | settings.environment()
    for _ in range(3):
        writer = begin(
            [sys.executable, "-c", WRITE], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout.readline() == "sent from here on\n"
        os.kill(writer.pid, signal.SIGSTOP)
        os.kill(writer.pid, signal.SIGCONT)
        writer.kill()
        assert writer.stdout.read() == ""
        writer.wait()
        assert elsewhere.find("models/large") is None
        assert elsewhere.names("models") == []
        assert [item for page in obstore.list(store) for item in page] == []
    writer = begin(
        [sys.executable, "-c", WRITE], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout.read().endswith("written\n")
    assert elsewhere.local_path("models/large").stat().st_size == 64 * (4 << 20)


def test_leftovers_go_by_what_the_rows_say(artifacts: Artifacts, settings: Settings) -> None:
    for name in ("models/model_gone.safetensors", "datasets/ds_gone/segment-0001/images.npy", "uploads/gone"):
        artifacts.write(name, b"left")
    artifacts.write("jobs/job_gone/checkpoint-1-1.safetensors", b"left")
    store = Store(settings.data_dir)
    store.migrate()
    remove_leftovers(store, artifacts, 3600.0)
    assert artifacts.exists("models/model_gone.safetensors"), "its row may be about to come"
    remove_leftovers(store, artifacts, -60.0)
    store.close()
    assert [artifacts.exists(name) for name in ("models", "datasets", "uploads", "jobs")] == [False] * 4


def test_an_upload_that_is_being_sent_stays_however_old_it_is(artifacts: Artifacts) -> None:
    path = artifacts.here(f"{paths.UPLOADS}/0123abcd")
    path.parent.mkdir()
    path.write_bytes(b"arrived")
    os.utime(path, (0, 0))
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        artifacts.clean()
        assert path.exists()
    artifacts.clean()
    assert not path.exists()


def test_an_upload_that_no_job_will_read_does_not_stay_in_the_store(artifacts: Artifacts) -> None:
    request = {"upload": f"{paths.UPLOADS}/0123abcd"}
    lost = StorageUnavailable("the answer was lost")
    lost.may_be_written = True
    for error, left in (
        (Conflict("the model was deleted"), []),
        (StorageUnavailable("the database cannot be written"), []),
        (lost, [request["upload"]]),
    ):
        path = artifacts.here(request["upload"])
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"arrived")
        with pytest.raises(type(error)), passed_on(request, artifacts):  # noqa: PT012
            assert artifacts.names(paths.UPLOADS) == [request["upload"]]
            raise error
        assert artifacts.names(paths.UPLOADS) == left


def test_faults_have_words(s3: S3Server, prefix: str, tmp_path: Path) -> None:
    refused = open_artifacts(of(s3, prefix, tmp_path / "a", artifacts_secret_access_key=ANOTHER))
    away = open_artifacts(of(s3, prefix, tmp_path / "b", artifacts_endpoint="http://127.0.0.1:9"))
    for artifacts, words in ((refused, "refuses the key"), (away, "cannot be reached")):
        uses: tuple[Callable[[], Any], ...] = (
            lambda artifacts=artifacts: artifacts.write("models/a", b"1"),
            lambda artifacts=artifacts: artifacts.names("models"),
            lambda artifacts=artifacts: artifacts.delete("models/a"),
            artifacts.probe,
        )
        for use in uses:
            with pytest.raises(ObjectStoreFault, match=words) as raised:
                use()
            fault = storage_fault(raised.value)
            assert isinstance(fault, StorageUnavailable)
            assert words in fault.detail
            assert "127.0.0.1" not in fault.detail
            assert ANOTHER not in str(raised.value)
    full = storage_fault(ObjectStoreFault("has no room left", full=True))
    assert isinstance(full, DiskFull)
