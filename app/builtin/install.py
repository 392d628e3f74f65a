"""Puts what comes with the package into a data directory that does not have it yet."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields, replace
from datetime import datetime
from importlib import resources
from typing import Any, TypeVar

from app.errors import Conflict, Damaged, NotFound
from app.files import paths
from app.files.artifacts import Artifacts
from app.states import JobStatus
from app.store import Store
from app.store.records import ArchitectureRecord, JobRecord, Json, ModelRecord

ARCHITECTURE_ID = "arch_example"
JOB_ID = "job_example"
MODEL_ID = "model_example"
MODEL_ALIAS = "example"

RECORDS_FILE = "examples.json"
MODEL_FILE = "model_example.safetensors"
LOG_FILE = "job_example.log"
REPORT_FILE = "job_example_report.json"

_FILES = (paths.model(MODEL_ID), paths.report(JOB_ID), f"{paths.segment('digits', 1)}/splits.npy")

_OF_THE_FILE = ("sha256", "bytes", "classes", "input_shape", "preprocessing", "architecture", "metrics")

_TRIES = 6
"""As many as there are rows that another server may put there between a look and ours."""

R = TypeVar("R", ArchitectureRecord, JobRecord, ModelRecord)


def install(store: Store, artifacts: Artifacts) -> None:
    """Put the data set `digits` and the examples into a data directory; what is there stays as it is.

    A copy of a data directory may leave the files of all that out: they are put back. Several servers that share a new
    database may do so at once.
    """
    for _ in range(_TRIES):
        with suppress(Conflict):  # another one has just put there what was missing: go on with the rest
            return _install(store, artifacts)
    return _install(store, artifacts)


def _install(store: Store, artifacts: Artifacts) -> None:
    # the last row and the files say that all is there; with the rest a start would load NumPy and more
    there = all(artifacts.exists(file) for file in _FILES) and not _missing(store.jobs.get, JOB_ID)
    if there and _has_its_size(store, artifacts):
        return
    from app.builtin import digits  # noqa: PLC0415

    digits.install(store, artifacts)
    documents = json.loads(_packaged(RECORDS_FILE))
    if _missing(store.architectures.get, ARCHITECTURE_ID):
        store.architectures.create(from_document(ArchitectureRecord, documents["architecture"]))
    # Files before rows, so that no row is ever without its file.
    model = from_document(ModelRecord, documents["model"])
    try:
        checksum = artifacts.checksum(model.path)
    except FileNotFoundError:  # or an object store has lost it, and nobody can read the file
        checksum = artifacts.write(model.path, _packaged(MODEL_FILE)).sha256
    if checksum == model.sha256:
        agree(store, model)
    if _missing(store.models.get, MODEL_ID):
        store.models.create(model)
    if _missing(lambda alias: store.models.get_alias(model.name, alias), MODEL_ALIAS):
        store.models.set_alias(model.name, MODEL_ALIAS, MODEL_ID, force=True)
    if not artifacts.exists(paths.report(JOB_ID)):
        artifacts.write(paths.report(JOB_ID), _packaged(REPORT_FILE))
    if _missing(store.jobs.get, JOB_ID):
        artifacts.write(paths.log(JOB_ID, 1), _packaged(LOG_FILE))
        store.jobs.create(from_document(JobRecord, documents["job"]), epochs=documents["epochs"])


def agree(store: Store, model: ModelRecord) -> None:
    """Have the row of a model say what its file says that was put back: the row can be of an earlier package."""
    if not _missing(store.models.get, model.id):
        with suppress(NotFound):  # another server has just removed it
            store.models.change(model.id, {name: getattr(model, name) for name in _OF_THE_FILE})


def _has_its_size(store: Store, artifacts: Artifacts) -> bool:
    """Tell whether the file of the model is as large as its row says, which earlier versions did not see to."""
    try:
        model = store.models.get(MODEL_ID)
    except (NotFound, Damaged):
        return True
    found = artifacts.find(model.path)
    return found is not None and found.bytes == model.bytes


def to_document(record: ArchitectureRecord | JobRecord | ModelRecord) -> Json:
    """Return a record as JSON-ready data, marked as built in."""
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    values["builtin"] = True
    return {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()
    }


def from_document(kind: type[R], document: Json) -> R:
    """Return the record that `to_document` was given."""
    values: dict[str, Any] = {
        name: datetime.fromisoformat(value) if name.endswith("_at") and value else value
        for name, value in document.items()
    }
    record = kind(**values)
    return replace(record, status=JobStatus(record.status)) if isinstance(record, JobRecord) else record


def _packaged(name: str) -> bytes:
    return (resources.files("app.builtin") / name).read_bytes()


def _missing(get: Callable[[str], object], identifier: str) -> bool:
    try:
        get(identifier)
    except NotFound:
        return True
    except Damaged:
        # Whoever deletes it gets a new one at the next start.
        return False
    return False
