"""The work of ingestion jobs: a new data set, or more pictures for one."""

from __future__ import annotations

from app.datasets import ingestion
from app.datasets.ingestion import uploads_of
from app.files.artifacts import Artifacts
from app.jobs.heartbeat import Cancelled, Heartbeat
from app.jobs.work import add_pictures as additions
from app.settings import Settings
from app.store import Store
from app.store.records import JobRecord


def run(job: JobRecord, store: Store, artifacts: Artifacts, settings: Settings, beat: Heartbeat) -> None:
    """Do what an ingestion job asks for; see the modules for what they raise."""
    work = additions.run if "files" in job.request else ingestion.run
    try:
        work(job, store, artifacts, settings, beat)
    except Cancelled:
        for upload in uploads_of(job.request):
            artifacts.delete(upload)
        raise
