"""Data sets and the segments that they are made of."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from app.errors import Conflict, Damaged, NotFound
from app.states import UNFINISHED
from app.store import events, files, tables
from app.store.answers import keep
from app.store.cache import cached
from app.store.dialect import Order
from app.store.expressions import has_tag, has_text
from app.store.records import (
    AnswerRecord,
    CorrectionRecord,
    DatasetContents,
    DatasetRecord,
    JobRecord,
    Json,
    Page,
    SegmentRecord,
)
from app.store.repository import Repository, values
from app.store.rows import UNREADABLE, to_record


class Datasets(Repository[DatasetRecord]):
    """Data sets; their files are the business of whoever creates and deletes."""

    kind = "data set"
    table = tables.datasets
    record = DatasetRecord

    def create(
        self, record: DatasetRecord, job: JobRecord | None = None, answer: AnswerRecord | None = None
    ) -> DatasetRecord:
        """Store a record and return it.

        Args:
            record: the data set.
            job: the job that will fill it, stored in the same moment.
            answer: what the call that asked for it is answered, kept in the same moment.
        """
        with self._database.write(Order.EVENTS) as connection:
            keep(connection, answer)
            self._insert(connection, record)
            if job is not None:
                connection.execute(insert(tables.jobs).values(**values(job)))
                events.add_status(connection, job)
        return record

    @cached()
    def page(
        self,
        limit: int,
        after: str | None = None,
        *,
        status: str | None = None,
        name: str | None = None,
        contains: str | None = None,
        tag: str | None = None,
    ) -> Page[DatasetRecord]:
        """Return up to `limit` data sets, newest first; only those of a status, name, part of one or tag if given.

        Raises:
            Invalid: there is no data set `after`.
        """
        columns = self.table.c
        conditions: list[ColumnElement[bool]] = []
        if status is not None:
            conditions.append(columns.status == status)
        if name is not None:
            conditions.append(columns.name == name)
        if contains is not None:
            conditions.append(has_text(columns.name, contains))
        if tag is not None:
            conditions.append(has_tag(columns.tags, tag))
        return self._page(limit, after, *conditions)

    def find_segments(self, identifier: str) -> tuple[SegmentRecord, ...]:
        """Return the segments of a data set in their order; none for one that is not ready."""
        columns = tables.segments.c
        query = select(tables.segments).where(columns.dataset_id == identifier).order_by(columns.number)
        with self._database.read() as connection:
            return tuple(SegmentRecord(**row._asdict()) for row in connection.execute(query))

    def corrections(
        self, identifier: str, until: int, limit: int | None = None
    ) -> tuple[CorrectionRecord, ...]:
        """Return what was corrected in a data set up to a revision, newest first; at most `limit` revisions.

        Raises:
            Damaged: one of them cannot be read.
        """
        columns = tables.corrections.c
        query = select(tables.corrections).where(columns.dataset_id == identifier, columns.revision <= until)
        with self._database.read() as connection:
            try:
                rows = connection.execute(query.order_by(columns.revision.desc()).limit(limit)).all()
                return tuple(to_record(CorrectionRecord, row) for row in rows)
            except UNREADABLE as error:
                raise Damaged.of(self.kind, identifier, "its corrections cannot be read") from error

    def correct(
        self,
        correction: CorrectionRecord,
        contents: Json,
        images: int,
        writers: Collection[str],
        answer: AnswerRecord | None = None,
    ) -> None:
        """Make a data set another revision of itself.

        Args:
            correction: the new revision; the one before it must be the present one.
            contents: the columns of the data set that say what it holds now.
            images: how many pictures it had when they were counted.
            writers: the kinds of jobs that add pictures.
            answer: what the call that asked for it is answered, kept in the same moment.

        Raises:
            NotFound: there is no such data set.
            Conflict: it was corrected or added to meanwhile, or is about to be added to.
        """
        identifier = correction.dataset_id
        columns = self.table.c
        with self._database.write() as connection:
            keep(connection, answer)
            # before it is looked at who adds: a job that begins to waits for this row, and is refused or seen
            connection.execute(select(columns.id).where(columns.id == identifier).with_for_update())
            if self._in_use(connection, identifier, writers):
                detail = (
                    f"pictures are being added to data set {identifier!r}; try again when its `adding` is 0"
                )
                raise Conflict(detail, code="in-use")
            before = columns.status == "ready", columns.revision == correction.revision - 1
            change = update(self.table).where(columns.id == identifier, *before, columns.images == images)
            if connection.execute(change.values(revision=correction.revision, **contents)).rowcount != 1:
                self._get(connection, identifier)
                detail = f"data set {identifier!r} was changed by another call meanwhile; try again"
                raise Conflict(detail, code="changed-meanwhile")
            connection.execute(insert(tables.corrections).values(**values(correction)))

    def add_segment(self, segment: SegmentRecord) -> None:
        """Append a segment."""
        with self._database.write() as connection:
            connection.execute(insert(tables.segments).values(**values(segment)))

    def finish(self, identifier: str, contents: DatasetContents) -> DatasetRecord:
        """Make a data set ready, with its segments, and return it.

        Work in a job passes its contents to `jobs.succeed` instead, which does both at once.

        Raises:
            NotFound: there is none of this id.
            Conflict: it is not being filled.
        """
        with self._database.write() as connection:
            self.complete(connection, identifier, contents)
            return self._get(connection, identifier)

    def fail(self, identifier: str, error: Json) -> None:
        """Give up a data set that is being made; nothing happens to another one."""
        with self._database.write() as connection:
            give_up(connection, identifier, error)

    def in_use(self, identifier: str) -> bool:
        """Tell whether a job that is not finished refers to it."""
        with self._database.read() as connection:
            return self._in_use(connection, identifier)

    def delete(self, identifier: str, kinds: Collection[str] = ()) -> tuple[str, ...]:
        """Delete a record, its segments and the jobs that wrote to it; return the ids of those jobs.

        Args:
            identifier: the data set.
            kinds: the kinds of jobs that go with it.

        Raises:
            NotFound: there is none of this id.
            Conflict: it is built in, or a job that is not finished refers to it.
        """
        with self._database.write(Order.EVENTS) as connection:
            self._check_deletable(connection, identifier)
            if self._in_use(connection, identifier):
                raise Conflict(
                    f"data set {identifier!r} is used by a job that is not finished; "
                    "wait for its end or cancel it",
                    code="in-use",
                )
            connection.execute(delete(self.table).where(self.table.c.id == identifier))
            writers = tables.jobs.c.dataset_id == identifier, tables.jobs.c.kind.in_(kinds)
            jobs = tuple(connection.scalars(select(tables.jobs.c.id).where(*writers)))
            connection.execute(delete(tables.jobs).where(*writers))
        return jobs

    def complete(self, connection: Connection, identifier: str, contents: DatasetContents) -> None:
        """Do what `finish` does, as a part of a larger transaction.

        Contents whose segments are not the first ones are the new whole of a data set that is ready.
        """
        found = values(contents)
        segments, written = found.pop("segments"), found.pop("files")
        columns = self.table.c
        change = update(self.table).where(columns.id == identifier)
        new = sum(segment.images for segment in segments)
        if segments and segments[0].number > 1:
            # Nothing may have been added since these were counted.
            change = change.where(columns.status == "ready", columns.images == contents.images - new)
        else:
            change = change.where(columns.status == "ingesting")
        if connection.execute(change.values(status="ready", **found)).rowcount != 1:
            record = self._get(connection, identifier)
            raise Conflict(
                f"data set {identifier!r} is {record.status} and has {record.images} pictures; "
                "these contents are of another moment"
            )
        for segment in segments:
            connection.execute(insert(tables.segments).values(**values(segment)))
        files.record(connection, written, dataset_id=identifier)

    def check_usable(self, connection: Connection, identifier: str, *, waits: bool) -> None:
        """Refuse a data set that a job cannot use.

        Args:
            connection: to the database.
            identifier: the data set.
            waits: whether the job waits while it is being filled.

        Raises:
            NotFound: there is none of this id.
            Conflict: it is not ready.
        """
        query = select(self.table.c.status).where(self.table.c.id == identifier)
        # as it stays until the job is there
        status = connection.scalar(query.with_for_update(read=True))
        if status is None:
            raise NotFound.of(self.kind, identifier)
        if status != "ready" and not (waits and status == "ingesting"):
            raise Conflict(f"data set {identifier!r} is {status}, not ready", code="dataset-not-ready")

    def _in_use(self, connection: Connection, identifier: str, kinds: Collection[str] | None = None) -> bool:
        columns = tables.jobs.c
        query = select(columns.id).where(columns.dataset_id == identifier, columns.status.in_(UNFINISHED))
        if kinds is not None:
            query = query.where(columns.kind.in_(kinds))
        return connection.execute(query.limit(1)).first() is not None


def give_up(connection: Connection, identifier: str, error: Json) -> None:
    """Do what `Datasets.fail` does, as a part of a larger transaction."""
    columns = tables.datasets.c
    change = update(tables.datasets).where(columns.id == identifier, columns.status == "ingesting")
    connection.execute(change.values(status="failed", error=error))
