"""The kinds of jobs: one record for each.

Queue, worker, cleanup and routes read here what they need to know of a kind. A new kind is a record in `KINDS`, a
module with its work, and a route that accepts it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from app.files.artifacts import Artifacts
from app.ids import JOB, new_id
from app.jobs.heartbeat import Heartbeat
from app.jobs.launcher import WAITING_CORES
from app.settings import Settings
from app.store import Store
from app.store.records import JobRecord

if TYPE_CHECKING:
    from app.jobs.requests import JobRequest

Work = Callable[[JobRecord, Store, Artifacts, Settings, Heartbeat], None]
"""Does a job and writes its success; raises what kept it from that."""

Decide = Callable[[JobRecord, Store, Artifacts, Settings], JobRecord]
"""Returns a job complete that has waited for its data set, as if it were asked for now; raises what is wrong."""


@dataclass(frozen=True, slots=True)
class Lane:
    """Jobs that wait for one another.

    Attributes:
        name: for people.
        slots: how many of them may run at the same time.
    """

    name: str
    slots: Callable[[Settings], int]


def _one(settings: Settings) -> int:
    return 1


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of job.

    Attributes:
        name: what rows and webhooks call it.
        noun: what messages call it.
        prefix: how the ids of such jobs begin.
        asks: the class of `app.jobs.requests` that says what such a job is to do.
        lane: with which other jobs it waits for its turn.
        work: the module whose `run` does it; a worker loads that one and no other, to start soon.
        dataset: whether it reads a data set, makes one, or adds to one.
        reads_model: whether it uses a model that exists already.
        accept: the module whose `decide` completes such a job when the data set is ready that it has waited for.
        part: whether such jobs are parts of others, which nobody asks for and nobody sees.
    """

    name: str
    noun: str
    prefix: str
    asks: str
    lane: Lane
    work: str
    dataset: Literal["reads", "makes", "extends"] | None = None
    reads_model: bool = False
    accept: str | None = None
    part: bool = False

    def cores(self, job: JobRecord, settings: Settings) -> float:
        """Return how many cores are kept for such a job, or for each node of one that has several.

        A part computes on one. So do others but training, of which one at a time runs: a node's memory is all its own.
        """
        if job.request.get("part_images"):
            return WAITING_CORES
        if self.part:
            return 1
        # Bits depend on the number of shares: a job that goes on keeps the one it began with.
        begun = (job.checkpoint or {}).get("threads")
        return begun or settings.threads_of(job.request.get("nodes", 1))

    @property
    def request(self) -> type[JobRequest]:
        """What such a job is asked to do. A server that only waits for jobs needs none of the engine behind it."""
        kind: type[JobRequest] = getattr(importlib.import_module("app.jobs.requests"), self.asks)
        return kind

    def new_id(self) -> str:
        """Return an identifier for a job of this kind."""
        return new_id(self.prefix)

    def job(self, request: JobRequest, job_id: str | None = None, **fields: Any) -> JobRecord:
        """Return a job of this kind that is yet to be stored.

        Args:
            request: what it is to do.
            job_id: its identifier; a new one when omitted.
            fields: others of its record.
        """
        if not isinstance(request, self.request):
            raise TypeError(f"a {self.noun} takes a {self.request.__name__}, not {type(request).__name__}")
        return JobRecord(job_id or self.new_id(), self.name, request.document(), **fields)

    def load_decide(self) -> Decide:
        """Import what completes such a job.

        Raises:
            TypeError: jobs of this kind do not wait for data sets.
        """
        if self.accept is None:
            raise TypeError(f"a {self.noun} does not wait for a data set")
        decide: Decide = importlib.import_module(self.accept).decide
        return decide

    def load_work(self) -> Work:
        """Import what does such a job."""
        work: Work = importlib.import_module(self.work).run
        return work


_UPLOADS = Lane("uploads", _one)

TRAINING = Kind(
    name="training",
    noun="training job",
    prefix=JOB,
    asks="TrainingRequest",
    lane=Lane("training", lambda settings: settings.max_jobs),
    work="app.jobs.work.train",
    dataset="reads",
    accept="app.jobs.accept.training",
)
INGESTION = Kind(
    name="ingestion",
    noun="ingestion",
    prefix=JOB,
    asks="IngestionRequest",
    lane=_UPLOADS,
    work="app.jobs.work.ingest",
    dataset="makes",
)
ADDITION = Kind(
    name="addition",
    noun="addition",
    prefix=JOB,
    asks="AdditionRequest",
    lane=_UPLOADS,
    work="app.jobs.work.add_pictures",
    dataset="extends",
)
DOWNLOAD = Kind(
    name="download",
    noun="download",
    prefix=JOB,
    asks="DownloadRequest",
    lane=Lane("downloads", _one),
    work="app.jobs.work.download",
    dataset="makes",
)
EVALUATION = Kind(
    name="evaluation",
    noun="evaluation",
    prefix="eval",
    asks="EvaluationRequest",
    lane=Lane("evaluations", _one),
    work="app.jobs.work.evaluate",
    dataset="reads",
    reads_model=True,
    accept="app.jobs.accept.evaluation",
)
BATCH_PREDICTION = Kind(
    name="batch_prediction",
    noun="batch prediction",
    prefix="batch",
    asks="BatchPredictionRequest",
    lane=Lane("batch predictions", _one),
    work="app.jobs.work.predict_batch",
    reads_model=True,
)
_PARTS = Lane("parts of jobs", lambda settings: settings.max_jobs)

BATCH_PART = Kind(
    name="batch_part",
    noun="part of a batch prediction",
    prefix="part",
    asks="PartRequest",
    lane=_PARTS,
    work="app.jobs.work.predict_part",
    part=True,
)
EVALUATION_PART = Kind(
    name="evaluation_part",
    noun="part of an evaluation",
    prefix="part",
    asks="PartRequest",
    lane=_PARTS,
    work="app.jobs.work.evaluate_part",
    part=True,
)

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        TRAINING,
        INGESTION,
        ADDITION,
        DOWNLOAD,
        EVALUATION,
        BATCH_PREDICTION,
        BATCH_PART,
        EVALUATION_PART,
    )
}
"""All kinds, by name."""

ASKED_FOR = tuple(kind.name for kind in KINDS.values() if not kind.part)
"""The kinds that callers ask for and see."""

DATASET_WRITERS = tuple(kind.name for kind in KINDS.values() if kind.dataset in ("makes", "extends"))
"""The kinds that put pictures into their data set, and whose jobs go when it goes."""


def lanes() -> dict[Lane, list[str]]:
    """Return the names of the kinds in each lane."""
    found: dict[Lane, list[str]] = {}
    for kind in KINDS.values():
        found.setdefault(kind.lane, []).append(kind.name)
    return found
