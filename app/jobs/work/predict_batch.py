"""Batch prediction as a job: what a model sees in each picture of an archive, as a table."""

from __future__ import annotations

import csv
import io
import logging
import shutil
import time
from collections.abc import Sequence
from contextlib import closing
from typing import IO, Any

from app.datasets.ingestion import archive_limits
from app.datasets.readers.zip_file import SafeZip
from app.errors import DomainError, Invalid, StaleAttempt, TooLarge, Unavailable
from app.files import paths
from app.files.artifacts import Artifacts
from app.jobs.accept.batch_prediction import pictures
from app.jobs.heartbeat import Drained, Heartbeat
from app.jobs.requests import BatchPredictionRequest
from app.models.prediction import Candidate, at_a_time, look, picture_spec
from app.models.predictors import load
from app.pictures.decode import decode
from app.settings import Settings
from app.store import Store
from app.store.records import JobRecord, Json
from engine.spec import NonNegativeInt, Spec

log = logging.getLogger(__name__)

_PART_ROWS = 10_000
_COPY_BYTES = 1 << 20
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


class Position(Spec):
    """How far the rows on the disk go: the checkpoint of such a job."""

    parts: NonNegativeInt = 0
    """Files that hold rows."""
    images: NonNegativeInt = 0
    """Rows in them."""
    failed: NonNegativeInt = 0
    """Rows that say why there is no prediction."""

    def progress(self, total: int) -> Json:
        """Return what the job shows."""
        return {"images": self.images, "failed": self.failed, "of": total, "fraction": self.images / total}


def run(job: JobRecord, store: Store, artifacts: Artifacts, settings: Settings, beat: Heartbeat) -> None:
    """Look at the pictures, write the table, and finish the job.

    What cannot be read gets a row that says why. A worker that dies is started again where the rows on the disk
    end; the table is the same as if it had not died.

    Raises:
        Interrupted, StaleAttempt: as `beat` does.
        NotFound, Invalid: the model or the archive cannot be used.
    """
    request = BatchPredictionRequest.of(job)
    try:
        _predict(job, request, store, artifacts, settings, beat)
    except (Drained, StaleAttempt, Unavailable):
        raise  # somebody goes on, and needs what there is
    except Exception:
        _clear(job.id, request, artifacts)
        raise
    _clear(job.id, request, artifacts)


def _predict(
    job: JobRecord,
    request: BatchPredictionRequest,
    store: Store,
    artifacts: Artifacts,
    settings: Settings,
    beat: Heartbeat,
) -> None:
    model = store.models.get(request.model)
    predictor = load(model, artifacts, settings)
    spec = picture_spec(model)
    table = _Table(job, store, artifacts, columns=min(request.top_k, len(model.classes)))
    if table.position.images:
        log.info("goes on after %d of %d pictures", table.position.images, request.images)
    size = at_a_time(spec)
    with closing(SafeZip(artifacts.local_path(request.upload), archive_limits(settings))) as archive:
        members = pictures(archive)
        try:
            # Batches begin at the same pictures in every attempt, so that the numbers in them are the same, too.
            for first in range(table.position.images, len(members), size):
                batch = members[first : first + size]
                images, faults = [], {}
                for place, member in enumerate(batch):
                    beat(table.reached.progress(len(members)))
                    try:
                        images.append(decode(archive.read(member), spec, settings.max_image_pixels))
                    except (Invalid, TooLarge) as error:
                        faults[place] = error
                found = iter(look(predictor, model, images, request.top_k))
                for place, member in enumerate(batch):
                    fault = faults.get(place)
                    table.add(member.name, fault if fault is not None else next(found))
                if table.age >= settings.checkpoint_seconds or table.waiting >= _PART_ROWS:
                    table.save()
        except Drained:
            table.save()
            raise
    table.save()
    beat(table.position.progress(len(members)), force=True)
    with beat.kept_up(table.position.progress(len(members))):
        table.join()
    predicted = table.position.images - table.position.failed
    log.info("%d predicted, %d failed", predicted, table.position.failed)
    store.jobs.succeed(job.id, job.attempt, metrics={"predicted": predicted, "failed": table.position.failed})


class _Table:
    """The rows: in files of the job as far as they are saved, the rest in memory."""

    def __init__(self, job: JobRecord, store: Store, artifacts: Artifacts, columns: int) -> None:
        self._job = job
        self._store = store
        self._artifacts = artifacts
        self._columns = columns
        self.position = Position.model_validate(job.checkpoint or {})
        self._begin()

    def _begin(self) -> None:
        self._text = io.StringIO(newline="")
        self._writer = csv.writer(self._text)
        self._since = time.monotonic()
        self.waiting = 0
        """Rows that are not saved."""
        self._failed = 0

    @property
    def age(self) -> float:
        """Seconds since the last save."""
        return time.monotonic() - self._since

    @property
    def reached(self) -> Position:
        """How far all rows go, with those that are not saved."""
        at = self.position
        return Position(parts=at.parts, images=at.images + self.waiting, failed=at.failed + self._failed)

    def add(self, name: str, found: Sequence[Candidate] | DomainError) -> None:
        """Add the row of a picture."""
        if isinstance(found, DomainError):
            cells: list[Any] = [""] * (3 * self._columns) + [_cell(found.detail)]
            self._failed += 1
        else:
            cells = []
            for candidate in found:
                cells += [_cell(candidate.label), candidate.class_index, f"{candidate.probability:.6g}"]
            cells.append("")
        self._writer.writerow([_cell(name), *cells])
        self.waiting += 1

    def save(self) -> None:
        """Put the rows on the disk, so that a later attempt goes on after them.

        Raises:
            StaleAttempt: the attempt is over.
        """
        if not self.waiting:
            return
        reached = self.reached
        after = reached.model_copy(update={"parts": reached.parts + 1})
        self._artifacts.write(paths.rows(self._job.id, after.parts), self._text.getvalue().encode())
        self._store.jobs.record_checkpoint(self._job.id, self._job.attempt, after.model_dump(mode="json"))
        self.position = after
        self._begin()

    def join(self) -> None:
        """Write the table out of what is saved."""
        names = ["filename", "label", "class_index", "probability"]
        for rank in range(2, self._columns + 1):
            names += [f"label_{rank}", f"class_index_{rank}", f"probability_{rank}"]
        header = io.StringIO(newline="")
        csv.writer(header).writerow([*names, "error"])

        def write(file: IO[bytes]) -> None:
            file.write(header.getvalue().encode())
            for part in range(1, self.position.parts + 1):
                with self._artifacts.local_path(paths.rows(self._job.id, part)).open("rb") as rows:
                    shutil.copyfileobj(rows, file, _COPY_BYTES)

        self._artifacts.write(paths.predictions(self._job.id), write)


def _cell(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula (OWASP, CSV injection)."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _clear(job_id: str, request: BatchPredictionRequest, artifacts: Artifacts) -> None:
    """Remove what nobody needs once the job is over."""
    artifacts.delete(request.upload)
    for name in artifacts.names(paths.directory(job_id)):
        if name.endswith(paths.ROWS):
            artifacts.delete(name)
