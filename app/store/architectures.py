"""Stored architectures."""

from __future__ import annotations

from sqlalchemy import delete

from app.store import tables
from app.store.answers import keep
from app.store.records import AnswerRecord, ArchitectureRecord
from app.store.repository import Repository


class Architectures(Repository[ArchitectureRecord]):
    """Architectures that somebody gave a name; jobs and models carry copies of their own."""

    kind = "architecture"
    table = tables.architectures
    record = ArchitectureRecord

    def create(self, record: ArchitectureRecord, answer: AnswerRecord | None = None) -> ArchitectureRecord:
        """Store a record, with the answer to the call that asked for it, and return it."""
        with self._database.write() as connection:
            keep(connection, answer)
            self._insert(connection, record)
        return record

    def delete(self, identifier: str) -> None:
        """Delete a record.

        Raises:
            NotFound: there is none of this id.
            Conflict: it is built in.
        """
        with self._database.write() as connection:
            self._check_deletable(connection, identifier)
            connection.execute(delete(self.table).where(self.table.c.id == identifier))
