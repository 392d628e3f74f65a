"""Trains the examples ahead: `python -m app.builtin.make_examples` writes the files beside this one.

It runs a job exactly as a server does, under the ids that the examples have.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from app.builtin import digits
from app.builtin.install import (
    ARCHITECTURE_ID,
    JOB_ID,
    LOG_FILE,
    MODEL_FILE,
    RECORDS_FILE,
    REPORT_FILE,
    to_document,
)
from app.files import paths
from app.files.artifacts import LocalArtifacts
from app.jobs.kinds import TRAINING
from app.jobs.requests import TrainingRequest
from app.jobs.runner import Runner
from app.settings import Settings
from app.states import JobStatus
from app.store import Store
from app.store.records import ArchitectureRecord, JobRecord
from engine.presets.lenet import LENET_5
from engine.recipe.optimizers import SGD
from engine.recipe.schedules import Cosine

EPOCHS = 8

log = logging.getLogger("make_examples")


def main() -> int:
    """Train, write the files and return the exit status."""
    logging.basicConfig(level="INFO", format="%(message)s")
    with tempfile.TemporaryDirectory() as directory:
        settings = Settings(data_dir=Path(directory))
        store = Store(settings.data_dir)
        store.migrate()
        artifacts = LocalArtifacts(settings.data_dir)
        try:
            return _make(store, artifacts, settings)
        finally:
            store.close()


def _make(store: Store, artifacts: LocalArtifacts, settings: Settings) -> int:
    digits.install(store, artifacts)
    architecture = ArchitectureRecord(
        ARCHITECTURE_ID, "LeNet-5 for digits", LENET_5.architecture().document(), builtin=True
    )
    request = TrainingRequest(
        name="lenet-5-digits",
        architecture=LENET_5.architecture(),
        architecture_source={"id": ARCHITECTURE_ID},
        dataset=digits.DIGITS,
        dataset_images=digits.DIGITS_IMAGES,
        epochs=EPOCHS,
        batch_size=32,
        optimizer=SGD(learning_rate=0.02, momentum=0.9),
        schedule=Cosine(),
    )
    store.jobs.create(TRAINING.job(request, JOB_ID, dataset_id=digits.DIGITS))
    runner = Runner(store, artifacts, settings)
    runner.start()
    try:
        job = _follow(store)
    finally:
        runner.stop(settings.grace_seconds)
    if job.status is not JobStatus.SUCCEEDED or job.model_id is None:
        log.error("the job has %s: %s", job.status, job.error)
        return 1
    model = store.models.get(job.model_id)
    documents = {
        "architecture": to_document(architecture),
        # Its checkpoint is not shipped.
        "job": to_document(replace(job, checkpoint=None, checkpoint_kept_since=None)),
        "epochs": [
            figures | {"norms": epoch.norms}
            for figures, epoch in zip(store.jobs.metrics(JOB_ID), store.jobs.norms(JOB_ID), strict=True)
        ],
        "model": to_document(model),
    }
    here = Path(__file__).parent
    text = json.dumps(documents, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    (here / RECORDS_FILE).write_text(text + "\n", encoding="utf-8")
    (here / MODEL_FILE).write_bytes(artifacts.local_path(model.path).read_bytes())
    (here / REPORT_FILE).write_bytes(artifacts.local_path(paths.report(JOB_ID)).read_bytes() + b"\n")
    (here / LOG_FILE).write_bytes(artifacts.local_path(paths.log(JOB_ID, 1)).read_bytes())
    log.info("%s", model.metrics)
    return 0


def _follow(store: Store) -> JobRecord:
    epoch = 0
    while not (job := store.jobs.get(JOB_ID)).status.finished:
        if job.metrics is not None and job.metrics["epoch"] != epoch:
            epoch = job.metrics["epoch"]
            log.info("%s", job.metrics)
        time.sleep(1)
    return job


if __name__ == "__main__":
    sys.exit(main())
