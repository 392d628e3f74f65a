"""The table of a batch prediction: rows, saved as they come, and joined in the end."""

from __future__ import annotations

import csv
import io
import shutil
import time
from collections.abc import Sequence
from typing import IO, Any

from app.errors import DomainError
from app.files import paths
from app.files.artifacts import Artifacts, Written
from app.jobs.requests import BatchPredictionRequest
from app.models.prediction import Candidate
from app.store import Store
from app.store.records import JobRecord, Json, ModelRecord
from engine.spec import NonNegativeInt, Spec

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
    attempts: tuple[NonNegativeInt, ...] = ()
    """Those that have written the files; of the first ones none where an earlier version has."""

    def names(self, job_id: str) -> list[str]:
        """Return the names of the files."""
        writers = (1,) * (self.parts - len(self.attempts)) + self.attempts
        return [paths.rows(job_id, part, attempt) for part, attempt in enumerate(writers, 1)]

    def with_part(self, attempt: int) -> Position:
        """Return the same with another file, that an attempt writes."""
        return self.model_copy(update={"parts": self.parts + 1, "attempts": (*self.attempts, attempt)})

    def progress(self, total: int) -> Json:
        """Return what the job shows."""
        return {"images": self.images, "failed": self.failed, "of": total, "fraction": self.images / total}


class Table:
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
        return at.model_copy(update={"images": at.images + self.waiting, "failed": at.failed + self._failed})

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
        after = self.reached.with_part(self._job.attempt)
        self._artifacts.write(after.names(self._job.id)[-1], self._text.getvalue().encode())
        self._store.jobs.record_checkpoint(self._job.id, self._job.attempt, after.model_dump(mode="json"))
        self.position = after
        self._begin()


def columns_of(request: BatchPredictionRequest, model: ModelRecord) -> int:
    """Return how many classes each row names."""
    return min(request.top_k, len(model.classes))


def join(job: JobRecord, names: Sequence[str], columns: int, artifacts: Artifacts) -> Written:
    """Write the table of a job out of files with rows, in this order, and return its file.

    Args:
        job: the job.
        names: the files.
        columns: how many classes each row names.
        artifacts: where they are.
    """
    titles = ["filename", "label", "class_index", "probability"]
    for rank in range(2, columns + 1):
        titles += [f"label_{rank}", f"class_index_{rank}", f"probability_{rank}"]
    header = io.StringIO(newline="")
    csv.writer(header).writerow([*titles, "error"])

    def write(file: IO[bytes]) -> None:
        file.write(header.getvalue().encode())
        for name in names:
            with artifacts.local_path(name).open("rb") as rows:
                shutil.copyfileobj(rows, file, _COPY_BYTES)

    return artifacts.write(paths.predictions(job.id, job.attempt), write)


def _cell(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula (OWASP, CSV injection)."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
