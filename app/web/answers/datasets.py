"""Answers about data sets, from what is stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.api.dataset_pictures import Addition, AdditionEntry, AdditionReport, AdditionReportEntry
from app.api.datasets import (
    Dataset,
    DatasetClass,
    DatasetEntry,
    DatasetReport,
    DatasetReportEntry,
    IngestionProgress,
    SplitCounts,
)
from app.api.downloads import Downloadable
from app.api.jobs import JobError
from app.datasets import records
from app.datasets.published import PublishedDataset
from app.states import JobStatus
from app.store.records import DatasetRecord, JobRecord, Json


def dataset_entry(record: DatasetRecord, jobs: Sequence[JobRecord] = ()) -> DatasetEntry:
    """Show a record in a list, with the unfinished jobs that add pictures to it, the oldest first."""
    return DatasetEntry(report=DatasetReportEntry(**_without_files(record.report)), **_entry(record, jobs))


def dataset(record: DatasetRecord, jobs: Sequence[JobRecord] = ()) -> Dataset:
    """Show a record with all that was left out, and the unfinished jobs as in `dataset_entry`."""
    return Dataset(report=DatasetReport(**record.report), **_entry(record, jobs))


def _entry(record: DatasetRecord, jobs: Sequence[JobRecord]) -> dict[str, Any]:
    options = records.options(record)
    return {
        "id": record.id,
        "name": record.name,
        "tags": record.tags or [],
        "status": record.status,
        "target": options.target,
        "classes": [DatasetClass(**entry) for entry in record.classes],
        "images": record.images,
        "excluded": record.images - sum(record.splits.values()),
        "revision": record.revision,
        "splits": SplitCounts(**record.splits),
        "image_shape": options.picture.image_shape,
        "preprocessing": options.picture,
        "split": options.split,
        "seed": options.seed,
        "duplicates": options.duplicates,
        "chosen": list(options.chosen),
        "progress": ingestion_progress(jobs[0]) if jobs else None,
        "adding": len(jobs) if record.status == "ready" else 0,
        "error": JobError(**record.error) if record.error else None,
        "bytes": record.bytes,
        "fingerprint": record.fingerprint,
        "builtin": record.builtin,
        "created_at": record.created_at,
    }


def _without_files(report: Json) -> Json:
    return {name: value for name, value in report.items() if name != "files"}


def ingestion_progress(job: JobRecord) -> IngestionProgress | None:
    """Show how far a job is that adds pictures to a data set; None once it has ended."""
    if job.status.finished:
        return None
    stage = "queued" if job.status is JobStatus.QUEUED else "starting"
    written = {name: value for name, value in job.progress.items() if name in IngestionProgress.model_fields}
    return IngestionProgress(**{"stage": stage} | written)


def addition_entry(job: JobRecord) -> AdditionEntry:
    """Show the job that adds pictures in a list."""
    report = AdditionReportEntry(**_without_files(job.metrics)) if job.metrics else None
    return AdditionEntry(report=report, **_addition(job))


def addition(job: JobRecord) -> Addition:
    """Show the job that adds pictures, with all that was left out."""
    report = AdditionReport(**job.metrics) if job.metrics else None
    return Addition(report=report, **_addition(job))


def _addition(job: JobRecord) -> dict[str, Any]:
    return {
        "id": job.id,
        "dataset_id": str(job.dataset_id),
        "status": job.status.value,
        "progress": ingestion_progress(job),
        "error": JobError(**job.error) if job.error else None,
        "created_at": job.created_at,
        "finished_at": job.finished_at,
    }


def checked_addition(dataset_id: str, report: Json) -> Addition:
    """Show what a dry run found, of which nothing stays."""
    return Addition(
        id=None,
        dataset_id=dataset_id,
        status="checked",
        progress=None,
        report=AdditionReport(**report),
        error=None,
        created_at=None,
        finished_at=None,
    )


def downloadable(published: PublishedDataset, address: str) -> Downloadable:
    """Show a data set that is fetched from this address."""
    return Downloadable(
        name=published.name,
        title=published.title,
        source=published.source,
        address=address,
        bytes=published.bytes,
        images=published.images,
        image_shape=published.image_shape,
        classes=published.classes,
    )
