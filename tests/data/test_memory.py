"""Training reads a data set from the disk as it goes: what it needs of memory does not grow with the data set."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.api.pictures import PictureSpec
from app.datasets.options import DatasetOptions
from app.datasets.segments import IMAGES_FILE, LABELS_FILE, SPLITS_FILE
from app.files import paths
from app.files.artifacts import LocalArtifacts
from app.files.locks import is_locked, read_holder
from app.ids import JOB, new_id
from app.jobs.kinds import TRAINING
from app.jobs.requests import TrainingRequest
from app.jobs.runner import Runner
from app.settings import Settings
from app.states import JobStatus
from app.store import Store
from app.store.records import DatasetContents, DatasetRecord, JobRecord, SegmentRecord
from engine.graph.architecture import Architecture
from tests.jobs.service import anonymous

GIB = 1 << 30
SHAPE = (256, 256, 3)
DATASET = "ds_large"
MOST_ANONYMOUS = 300 * 1000 * 1000
PATIENCE = 1800.0
NETWORK = {
    "input_shape": list(SHAPE),
    "layers": [
        {"type": "conv2d", "filters": 4, "kernel_size": 8, "stride": 16, "activation": "relu"},
        {"type": "flatten"},
        {"type": "dense", "units": 2},
    ],
}

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux shows it"),
]


def make_large(store: Store, artifacts: LocalArtifacts) -> int:
    """Store a data set of 2 GiB that is written as one hole, and return how many pictures it has."""
    count = 2 * GIB // int(np.prod(SHAPE)) + 1
    folder = artifacts.local_path(paths.segment(DATASET, 1))
    folder.mkdir(parents=True)
    with (folder / IMAGES_FILE).open("wb") as file:
        head = {"descr": "|u1", "fortran_order": False, "shape": (count, *SHAPE)}
        np.lib.format.write_array_header_1_0(file, head)
        file.truncate(file.tell() + count * int(np.prod(SHAPE)))
    labels, splits = np.arange(count) % 2, np.zeros(count, np.uint8)
    splits[-64:-32], splits[-32:] = 1, 2
    np.save(folder / LABELS_FILE, labels.astype("<i4"))
    np.save(folder / SPLITS_FILE, splits)
    options = DatasetOptions(picture=PictureSpec(image_shape=SHAPE)).model_dump(mode="json")
    store.datasets.create(DatasetRecord(DATASET, "large", options=options))
    contents = DatasetContents(
        classes=[{"name": name, "images": int((labels == label).sum())} for label, name in enumerate("ab")],
        splits={"train": count - 64, "dev": 32, "test": 32},
        image_shape=list(SHAPE),
        images=count,
        bytes=(folder / IMAGES_FILE).stat().st_size,
        segments=(SegmentRecord(DATASET, 1, count, paths.segment(DATASET, 1), ""),),
    )
    store.datasets.finish(DATASET, contents)
    return count


def shares(pid: int) -> list[int]:
    """Return the processes that a worker has started for the shares of a batch."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def test_two_gigabytes_are_trained_on_within_300_megabytes(tmp_path: Path, record_property: Any) -> None:
    settings = Settings(data_dir=tmp_path / "data", cores=2)
    store = Store(settings.data_dir)
    store.migrate()
    artifacts = LocalArtifacts(settings.data_dir)
    count = make_large(store, artifacts)
    assert artifacts.local_path(f"{paths.segment(DATASET, 1)}/{IMAGES_FILE}").stat().st_size > 2 * GIB
    request = TrainingRequest(
        name="large",
        architecture=Architecture.model_validate(NETWORK),
        dataset=DATASET,
        dataset_images=count,
        epochs=1,
        batch_size=32,
    )
    job = store.jobs.create(JobRecord(new_id(JOB), TRAINING.name, request.document(), dataset_id=DATASET))
    runner = Runner(store, artifacts, settings)
    runner.start()
    most = 0
    try:
        limit = time.monotonic() + PATIENCE
        lock = artifacts.local_path(paths.lock(job.id))
        while not store.jobs.get(job.id).status.finished:
            assert time.monotonic() < limit
            if lock.exists() and is_locked(lock) and (pid := read_holder(lock)):
                most = max(most, sum(map(anonymous, [pid, *shares(pid)])))
            time.sleep(0.05)
    finally:
        runner.stop(5.0)
    ended = store.jobs.get(job.id)
    store.close()
    assert ended.status is JobStatus.SUCCEEDED, ended.error
    record_property("most_anonymous_bytes", most)
    print(f"most anonymous memory of the worker and its share: {most / 1e6:.0f} MB")  # noqa: T201
    assert 0 < most < MOST_ANONYMOUS
