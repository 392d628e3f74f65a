"""The table of a batch prediction: rows, saved as they come, and joined in the end."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Sequence
from typing import IO, Any

from app.errors import DomainError
from app.files import paths
from app.files.artifacts import Artifacts, Written
from app.jobs.requests import BatchPredictionRequest
from app.jobs.work.rows import Rows
from app.models.prediction import Candidate
from app.store import Store
from app.store.records import JobRecord, ModelRecord

_COPY_BYTES = 1 << 20
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


class Table(Rows):
    """The rows of the table, as text."""

    def __init__(self, job: JobRecord, store: Store, artifacts: Artifacts, columns: int) -> None:
        self._columns = columns
        super().__init__(job, store, artifacts)

    def _begin(self) -> None:
        super()._begin()
        self._text = io.StringIO(newline="")
        self._writer = csv.writer(self._text)

    def _content(self) -> bytes:
        return self._text.getvalue().encode()

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
