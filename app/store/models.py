"""Trained models."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection, delete, func, select

from app.errors import NotFound
from app.store import tables
from app.store.records import ModelRecord
from app.store.repository import Repository


class Models(Repository[ModelRecord]):
    """Models, unique by name and version; their files are the business of whoever creates and deletes."""

    kind = "model"
    table = tables.models
    record = ModelRecord

    def create(self, record: ModelRecord) -> ModelRecord:
        """Store a record and return it with its version: the next one of its name if it had none."""
        with self._database.write() as connection:
            return self.add(connection, record)

    def add(self, connection: Connection, record: ModelRecord) -> ModelRecord:
        """Do what `create` does, as a part of a larger transaction."""
        if not record.version:
            columns = self.table.c
            query = select(func.max(columns.version)).where(columns.name == record.name)
            record = replace(record, version=(connection.scalar(query) or 0) + 1)
        self._insert(connection, record)
        return record

    def find(self, reference: str) -> ModelRecord:
        """Return the model of an id, or of a name and a version: `digits@2`.

        Raises:
            NotFound: there is none.
        """
        name, _, label = reference.rpartition("@")
        if not name:
            return self.get(reference)
        columns = self.table.c
        if not (label.isdecimal() and len(label) < 10):
            raise NotFound(self.kind, reference)
        query = select(self.table).where(columns.name == name, columns.version == int(label))
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise NotFound(self.kind, reference)
        return self._record(row)

    def delete(self, identifier: str) -> ModelRecord:
        """Delete a record and return what it was, so that its file can follow.

        Raises:
            NotFound: there is none of this id.
            Conflict: it is built in.
        """
        with self._database.write() as connection:
            record = self._get(connection, identifier)
            self._not_builtin(record)
            connection.execute(delete(self.table).where(self.table.c.id == identifier))
        return record
