"""A part of an evaluation as a job: what the model predicts for some of its pictures, in files that stay its own.

What it found is its checkpoint: the evaluation reads those of all parts in order, as if it had predicted them itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import IO

import numpy as np
from numpy.typing import NDArray

from app.datasets.storage import open_dataset
from app.errors import Damaged
from app.files.artifacts import Artifacts
from app.jobs.heartbeat import Drained, Heartbeat
from app.jobs.kinds import EVALUATION
from app.jobs.requests import EvaluationRequest, PartRequest
from app.jobs.work.predictions import Places, Predict, SplitPictures
from app.jobs.work.rows import Rows
from app.models.predictors import load
from app.settings import Settings
from app.store import Store
from app.store.records import JobRecord

_SAVED_BYTES = 1 << 24
_NUMBERS = np.dtype("<f4")


class _Predicted(Rows):
    """What was predicted for pictures: numbers, one picture after another."""

    def _begin(self) -> None:
        super()._begin()
        self._batches: list[NDArray[np.float32]] = []

    def add(self, predictions: NDArray[np.float32]) -> None:
        """Add those of a batch, (n, K)."""
        self._batches.append(predictions.copy())
        self.waiting += len(predictions)

    @property
    def size(self) -> int:
        """How many bytes are not saved."""
        return sum(batch.nbytes for batch in self._batches)

    def _content(self) -> bytes:
        return b"".join(np.ascontiguousarray(batch, _NUMBERS).tobytes() for batch in self._batches)


def run(job: JobRecord, store: Store, artifacts: Artifacts, settings: Settings, beat: Heartbeat) -> None:
    """Look at the pictures and finish the job.

    Raises:
        Interrupted, StaleAttempt: as `beat` does.
        NotFound, Invalid: the model or the data set cannot be used.
    """
    part = PartRequest.of(job)
    request = EvaluationRequest.of(store.jobs.get(str(job.part_of)))
    predictor = load(store.models.get(request.model), artifacts, settings)
    dataset = open_dataset(
        store, artifacts, request.dataset, request.dataset_images, request.dataset_revision
    )
    images, found = dataset.everything(), _Predicted(job, store, artifacts)
    begin, end = part.first + found.position.images, part.first + part.images
    try:
        for first, places in SplitPictures(dataset, request.split).all_batches():
            if not begin <= first < end:
                continue  # of another part, or saved
            beat(found.reached.progress(part.images))
            found.add(predictor.predict(images.read(places)[0]))
            if found.age >= settings.checkpoint_seconds or found.size >= _SAVED_BYTES:
                found.save()
    except Drained:
        found.save()
        raise
    found.save()
    beat(found.position.progress(part.images), force=True)
    store.jobs.succeed(job.id, job.attempt)


@contextmanager
def reading(job_id: str, names: Sequence[str], outputs: int, artifacts: Artifacts) -> Iterator[Predict]:
    """Return what gives the predictions of one batch after another, out of the files of all parts.

    Args:
        job_id: the evaluation.
        names: the files, in order.
        outputs: numbers for each picture.
        artifacts: where the files are.
    """
    with ExitStack() as stack:
        files: list[IO[bytes]] = []
        left = iter(names)

        def read(size: int) -> bytes:
            """Read on, through as many files as it takes."""
            content = b""
            while len(content) < size:
                piece = files[-1].read(size - len(content)) if files else b""
                if not piece:
                    name = next(left, None)
                    if name is None:
                        raise Damaged.of(EVALUATION.noun, job_id, "what its parts have found is missing")
                    stack.pop_all().close()
                    files.append(stack.enter_context(artifacts.local_path(name).open("rb")))
                content += piece
            return content

        def predict(places: Places) -> NDArray[np.float32]:
            size = len(places) * outputs * _NUMBERS.itemsize
            return np.frombuffer(read(size), _NUMBERS).reshape(len(places), outputs)

        yield predict
