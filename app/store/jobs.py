"""Jobs: the queue, and the writes of the workers, each refused once its attempt is over."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from sqlalchemy import ColumnElement, delete, func, or_, select, update

from app.errors import Conflict, Damaged
from app.files.artifacts import Written
from app.states import ACTIVE, ATTEMPTS, UNFINISHED, JobStatus, death
from app.store import deliveries, events, files, job_epochs, job_moves, tables
from app.store.answers import keep
from app.store.cache import cached
from app.store.database import Database
from app.store.datasets import Datasets
from app.store.dialect import Order
from app.store.expressions import has_tag, has_text, text_in
from app.store.models import Models
from app.store.records import (
    AnswerRecord,
    DatasetContents,
    JobPulse,
    JobRecord,
    JobState,
    Json,
    ModelRecord,
    NormsRecord,
    Page,
    now,
    without_storage,
)
from app.store.repository import Repository
from app.store.rows import read_records
from app.text import repaired


class Jobs(Repository[JobRecord]):
    """The jobs; every change of state is one of `app.states.TRANSITIONS`."""

    kind = "job"
    table = tables.jobs
    record = JobRecord

    def __init__(self, database: Database, datasets: Datasets, models: Models) -> None:
        super().__init__(database)
        self._datasets = datasets
        self._models = models

    # What clients do

    def create(
        self, record: JobRecord, answer: AnswerRecord | None = None, epochs: Collection[Json] = ()
    ) -> JobRecord:
        """Store a job and return it.

        Args:
            record: the job.
            answer: what the call that asked for it is answered, kept in the same moment.
            epochs: the values of its epochs and their `norms`, of a job that did not run here.

        Raises:
            NotFound: the data set or the model that it is to use does not exist.
            Conflict: that data set is not ready, nor is it being filled if the job waits for that.
        """
        with self._database.write(Order.EVENTS) as connection:
            if record.dataset_id and not record.status.finished:
                # In the transaction that makes the data set count as used, so that it cannot go away.
                self._datasets.check_usable(connection, record.dataset_id, waits=bool(record.waits_for))
            if record.model_id and not record.status.finished:
                self._models.check_exists(connection, record.model_id)
            keep(connection, answer)
            self._insert(connection, record)
            for entry in epochs:
                job_epochs.put(connection, record.id, entry)
            events.add_status(connection, job_moves.read_state(connection, record.id))
        return record

    def page(
        self,
        limit: int,
        after: str | None = None,
        *,
        kind: str | None = None,
        status: JobStatus | None = None,
        name: str | None = None,
        contains: str | None = None,
        tag: str | None = None,
        dataset_id: str | None = None,
    ) -> Page[JobRecord]:
        """Return up to `limit` jobs, newest first; only those of which all holds that is given.

        Raises:
            Invalid: there is no job `after`.
        """
        columns = self.table.c
        conditions: list[ColumnElement[bool]] = []
        if kind is not None:
            conditions.append(columns.kind == kind)
        if status is not None:
            conditions.append(columns.status == status)
        if name is not None:
            conditions.append(self._name() == name)
        if contains is not None:
            conditions.append(has_text(self._name(), contains))
        if tag is not None:
            conditions.append(has_tag(columns.request, tag, "tags"))
        if dataset_id is not None:
            conditions.append(columns.dataset_id == dataset_id)
        return self._page(limit, after, *conditions)

    @cached()
    def unfinished(
        self, kinds: Collection[str] | None = None, *, dataset_id: str | None = None
    ) -> tuple[JobRecord, ...]:
        """Return the jobs that have not ended, of some kinds or of a data set if given, the oldest first."""
        columns = self.table.c
        query = select(self.table).where(columns.status.in_(UNFINISHED))
        if kinds is not None:
            query = query.where(columns.kind.in_(kinds))
        if dataset_id is not None:
            query = query.where(columns.dataset_id == dataset_id)
        with self._database.read() as connection:
            found = read_records(connection, query.order_by(columns.id), columns.id, JobRecord)
        return tuple(job for _, job in found if job is not None)

    @cached()
    def state(self, identifier: str) -> JobState:
        """Return where a job is, also when the rest of its record cannot be read; raises NotFound where it is not."""
        with self._database.read() as connection:
            return job_moves.read_state(connection, identifier)

    @cached()
    def metrics(self, identifier: str) -> list[Json]:
        """Return the values of every epoch, in order; raises NotFound where there is no such job."""
        with self._database.read() as connection:
            job_moves.read_state(connection, identifier)
            return job_epochs.read(connection, identifier)

    def norms(self, identifier: str) -> list[NormsRecord]:
        """Return the norms of the epochs that have some, of very many not all, in order; raises as `metrics`."""
        with self._database.read() as connection:
            job_moves.read_state(connection, identifier)
            return job_epochs.read_norms(connection, identifier)

    def request_cancel(self, identifier: str) -> JobRecord:
        """Ask for the end of a job and return it: cancelled if it was queued, else cancelling.

        Raises:
            NotFound: there is no job of this id.
            Conflict: it is finished.
        """
        with self._database.write(Order.EVENTS) as connection:
            record = self._get(connection, identifier)
            state = job_moves.read_state(connection, identifier)
            if record.status.finished:
                raise Conflict(
                    f"job {identifier!r} has {record.status} and cannot be cancelled any more"
                    if record.status is not JobStatus.CANCELLED
                    else f"job {identifier!r} is cancelled already",
                    code="job-finished",
                )
            job_moves.cancel(connection, state)
            return self._get(connection, identifier)

    def delete(self, identifier: str) -> Json:
        """Delete a job that no worker has, and return what it was to do; its files are the caller's business.

        Its parts go with it, also from workers that are about to notice that it has ended.

        Of a damaged one that may be nothing.

        Raises:
            NotFound: there is no job of this id.
            Conflict: it is built in or running.
        """
        with self._database.write(Order.EVENTS) as connection:
            self._check_deletable(connection, identifier)
            state = job_moves.read_state(connection, identifier)
            # In no state that there is, nobody has it.
            if state.status is not None and state.status.active:
                raise Conflict(
                    f"job {identifier!r} is {state.status}; cancel it and wait for its end",
                    code="job-running",
                )
            if state.status is JobStatus.QUEUED:
                job_moves.end(connection, state, JobStatus.CANCELLED)
            try:
                request = self._get(connection, identifier).request
            except Damaged:
                request = {}
            columns = self.table.c
            connection.execute(
                delete(self.table).where(or_(columns.id == identifier, columns.part_of == identifier))
            )
            deliveries.forget(connection, identifier)
            return request

    # What the server does by itself

    def active(self) -> tuple[JobPulse, ...]:
        """Return the jobs that a worker has or should have, and nothing that is long to read."""
        columns = self.table.c
        query = select(columns.id, columns.kind, columns.status, columns.attempt, columns.heartbeat)
        with self._database.read() as connection:
            rows = connection.execute(query.where(columns.status.in_(ACTIVE)))
            return tuple(JobPulse(**row._asdict()) for row in rows)

    def claim_next(self, kinds: Collection[str], skip: Collection[str] = ()) -> JobRecord | None:
        """Start the next attempt of the oldest job of some kinds that waits for nothing but that, and return it.

        Those before it whose records cannot be read fail: nothing may wait for them.

        Args:
            kinds: the kinds of job.
            skip: ids to leave where they are.
        """
        columns = self.table.c
        waits = columns.status == JobStatus.QUEUED, columns.waits_for.is_(None)
        query = select(columns.id).where(*waits, columns.kind.in_(kinds), columns.id.not_in(skip))
        query = query.order_by(columns.created_at, columns.id).limit(1)
        with self._database.read() as connection:
            # An empty queue, the usual case, is not worth a turn among the writers.
            if connection.scalar(query) is None:
                return None
        with self._database.write(Order.EVENTS) as connection:
            while (identifier := connection.scalar(query)) is not None:
                state = job_moves.read_state(connection, identifier)
                try:
                    progress = self._get(connection, identifier).progress
                except Damaged as error:
                    job_moves.fail_invalid(connection, state, error.detail)
                    continue
                job_moves.move(
                    connection,
                    state,
                    JobStatus.RUNNING,
                    attempt=columns.attempt + 1,
                    started_at=func.coalesce(columns.started_at, now()),
                    progress=without_storage(progress),
                )
                return self._get(connection, identifier)
        return None

    def fail_unknown(self, kinds: Collection[str]) -> None:
        """Fail the jobs that are queued and of none of these kinds: no worker can do them."""
        columns = self.table.c
        query = select(columns.id).where(columns.status == JobStatus.QUEUED, columns.kind.not_in(kinds))
        with self._database.read() as connection:
            found = list(connection.scalars(query))
        for identifier in found:
            with self._database.write(Order.EVENTS) as connection:
                state = job_moves.read_state(connection, identifier)
                what = f"this version has no work of the kind {state.kind!r}"
                job_moves.fail_invalid(connection, state, what)

    def lost(self, identifier: str, attempt: int, *, out_of_memory: bool = False) -> JobStatus:
        """Take a job back from a worker that died and return where that put it.

        Args:
            identifier: the job.
            attempt: the attempt whose worker died.
            out_of_memory: whether the system killed it for want of memory.

        Raises:
            StaleAttempt: the attempt is over, by whatever its worker last wrote.
        """
        with self._database.write(Order.EVENTS) as connection:
            row = job_moves.fenced(connection, identifier, attempt)
            if row.status is JobStatus.CANCELLING:
                target, error = JobStatus.CANCELLED, None
            elif attempt >= ATTEMPTS:
                target, error = JobStatus.FAILED, death(out_of_memory=out_of_memory)
            else:
                job_moves.move(connection, row, JobStatus.QUEUED)
                return JobStatus.QUEUED
            job_moves.end(connection, row, target, error)
            return target

    # What workers do

    def beat(self, identifier: str, attempt: int, progress: Json) -> Literal["go", "cancel", "stale"]:
        """Show life and progress, and learn whether to go on."""
        columns = self.table.c
        change = update(self.table).where(
            columns.id == identifier, columns.attempt == attempt, columns.status.in_(ACTIVE)
        )
        change = change.values(heartbeat=columns.heartbeat + 1, progress=progress)
        with self._database.write() as connection:
            status = connection.scalar(change.returning(columns.status))
        if status is None:
            return "stale"
        return "cancel" if status is JobStatus.CANCELLING else "go"

    def record_epoch(self, identifier: str, attempt: int, epoch: Json) -> None:
        """Store the values of `epoch["epoch"]` and its `norms`, in place of those of an attempt that came as far.

        Raises:
            StaleAttempt: the attempt is over.
        """
        with self._database.write(Order.EVENTS) as connection:
            job_moves.fenced(connection, identifier, attempt)
            job_moves.write(connection, identifier, metrics=job_epochs.put(connection, identifier, epoch))

    def record_checkpoint(self, identifier: str, attempt: int, checkpoint: Json) -> Json | None:
        """Point the job at a new checkpoint and return the one before, whose file can go now.

        Raises:
            StaleAttempt: the attempt is over.
        """
        with self._database.write() as connection:
            before: Json | None = job_moves.fenced(connection, identifier, attempt).checkpoint
            job_moves.write(connection, identifier, checkpoint=checkpoint)
            return before

    def succeed(
        self,
        identifier: str,
        attempt: int,
        *,
        model: ModelRecord | None = None,
        contents: DatasetContents | None = None,
        metrics: Json | None = None,
        found: Collection[Written] = (),
    ) -> None:
        """Finish a job together with what it made: a model, the contents of its data set, figures, files of findings.

        Raises:
            StaleAttempt: the attempt is over.
        """
        with self._database.write(Order.EVENTS, Order.MODELS) as connection:
            row = job_moves.fenced(connection, identifier, attempt)
            if model is not None:
                self._models.add(connection, model)
            if contents is not None:
                self._datasets.complete(connection, str(row.dataset_id), contents)
            made: Json = {} if model is None else {"model_id": model.id}
            if metrics is not None:
                made["metrics"] = metrics
            files.record(connection, found, job_id=identifier)
            job_moves.end(connection, row, JobStatus.SUCCEEDED, **made)

    def cancelled(self, identifier: str, attempt: int) -> None:
        """Finish a job that a client wanted to stop.

        Raises:
            StaleAttempt: the attempt is over, or nobody asked.
        """
        with self._database.write(Order.EVENTS) as connection:
            row = job_moves.fenced(connection, identifier, attempt, JobStatus.CANCELLING)
            job_moves.end(connection, row, JobStatus.CANCELLED)

    def fail(self, identifier: str, attempt: int, error: Json) -> None:
        """Finish a job that cannot be done; one that a client wanted to stop is cancelled instead.

        Args:
            identifier: the job.
            attempt: the attempt that writes.
            error: `{"code", "message"}`.

        Raises:
            StaleAttempt: the attempt is over.
        """
        with self._database.write(Order.EVENTS) as connection:
            row = job_moves.fenced(connection, identifier, attempt)
            if row.status is JobStatus.CANCELLING:
                job_moves.end(connection, row, JobStatus.CANCELLED)
            else:
                job_moves.end(connection, row, JobStatus.FAILED, repaired(error))

    def requeue(self, identifier: str, attempt: int, *, storage: str | None = None) -> JobStatus:
        """Put a job back whose worker was asked to stop, or could not write; that costs it no attempt.

        Args:
            identifier: the job.
            attempt: the attempt that is given up.
            storage: what keeps it from being written, if that is why; see `JobRecord.waits_for_storage`.

        Returns:
            Where it is now: queued, or cancelled if a client wanted it to stop.

        Raises:
            StaleAttempt: the attempt is over.
        """
        with self._database.write(Order.EVENTS) as connection:
            row = job_moves.fenced(connection, identifier, attempt)
            return job_moves.put_back(connection, row, storage)

    def _name(self) -> ColumnElement[str | None]:
        return text_in(self.table.c.request, "name")
