"""Trained models, and the aliases of their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, func, insert, or_, select, update

from app.errors import Conflict, Damaged, NotFound
from app.states import UNFINISHED
from app.store import tables
from app.store.answers import keep
from app.store.cache import cached
from app.store.dialect import Order
from app.store.expressions import has_tag, has_text, text_in
from app.store.records import AliasRecord, AnswerRecord, ModelRecord, Page
from app.store.repository import Repository, values
from app.store.rows import read_records

OTHER_INTERFACE = "other-interface"
"""The code of the error where an alias would move to a model that is asked, or answers, something else."""
_NAMED_JOBS = 5


class Models(Repository[ModelRecord]):
    """Models, unique by name and version; their files are the business of whoever creates and deletes."""

    kind = "model"
    table = tables.models
    record = ModelRecord

    def create(
        self, record: ModelRecord, answer: Callable[[ModelRecord], AnswerRecord | None] = lambda stored: None
    ) -> ModelRecord:
        """Store a record and return it with its version: the next one of its name if it had none.

        Args:
            record: the model.
            answer: makes what the call that asked for it is answered, kept in the same moment.
        """
        with self._database.write(Order.MODELS) as connection:
            stored = self.add(connection, record)
            keep(connection, answer(stored))
            return stored

    def add(self, connection: Connection, record: ModelRecord) -> ModelRecord:
        """Do what `create` does, as a part of a larger transaction, which names `Order.MODELS`."""
        if not record.version:
            record = replace(record, version=self._next_version(connection, record.name))
        self._insert(connection, record)
        return record

    @cached()
    def page(
        self,
        limit: int,
        after: str | None = None,
        *,
        name: str | None = None,
        contains: str | None = None,
        tag: str | None = None,
    ) -> Page[ModelRecord]:
        """Return up to `limit` models, newest first; only those of a name, part of one or tag if given.

        Raises:
            Invalid: there is no model `after`.
        """
        columns = self.table.c
        conditions: list[ColumnElement[bool]] = []
        if name is not None:
            conditions.append(columns.name == name)
        if contains is not None:
            conditions.append(has_text(columns.name, contains))
        if tag is not None:
            conditions.append(has_tag(columns.tags, tag))
        return self._page(limit, after, *conditions)

    def check_exists(self, connection: Connection, identifier: str) -> None:
        """Refuse a model that is gone.

        Raises:
            NotFound: there is none of this id.
        """
        if connection.scalar(select(self.table.c.id).where(self.table.c.id == identifier)) is None:
            raise NotFound.of(self.kind, identifier)

    @cached(tables.model_aliases)
    def find(self, reference: str) -> ModelRecord:
        """Return the model of an id, a name and version (`digits@2`), or an alias (`digits@production`).

        A name alone stands for its newest version.

        Raises:
            NotFound: there is none.
            Damaged: it cannot be read.
        """
        query = self._referred(select(self.table), reference)
        if "@" not in reference:
            columns = self.table.c
            query = select(self.table).where(or_(columns.id == reference, columns.name == reference))
            query = query.order_by((columns.id == reference).desc(), columns.version.desc()).limit(1)
        with self._database.read() as connection:
            return self._one(connection, query, reference)

    def find_id(self, reference: str) -> str:
        """Return the id of a model, also when the rest of its record cannot be read.

        A name alone stands for none: who changes or deletes says which version.

        Raises:
            NotFound: there is none.
        """
        with self._database.read() as connection:
            identifier = connection.scalar(self._referred(select(self.table.c.id), reference))
        if identifier is None:
            raise NotFound.of(self.kind, reference)
        return str(identifier)

    def _referred(self, query: Select[Any], reference: str) -> Select[Any]:
        name, _, label = reference.rpartition("@")
        columns = self.table.c
        if not name:
            return query.where(columns.id == reference)
        if label.isdecimal():
            # More digits than an integer of the database holds are no version.
            version = int(label) if len(label) < 10 else 0
            return query.where(columns.name == name, columns.version == version)
        return query.join(tables.model_aliases).where(*_alias(name, label))

    def change(self, identifier: str, changes: Mapping[str, Any]) -> ModelRecord:
        """Change name, description or tags, or what a model that is built in says of its file.

        Under another name a model becomes that name's next version.

        Raises:
            NotFound: there is none of this id.
            Conflict: it is to be renamed, and is built in or has an alias.
        """
        with self._database.write(Order.MODELS) as connection:
            record = self._get(connection, identifier, change=True)
            new = dict(changes)
            if new.get("name", record.name) != record.name:
                if record.builtin:
                    raise Conflict(f"model {identifier!r} is built in and cannot be renamed", code="built-in")
                self._without_aliases(connection, identifier, record.name, "renamed")
                new["version"] = self._next_version(connection, new["name"])
            if new:
                connection.execute(update(self.table).where(self.table.c.id == identifier).values(**new))
            return self._get(connection, identifier)

    def delete(self, identifier: str, *, builtin: bool = False) -> str:
        """Delete a record and return the path of its file, which is to follow; one that is built in only if `builtin`.

        Raises:
            NotFound: there is none of this id.
            Conflict: it is built in, an alias stands for it, or a job that is not finished uses it.
        """
        with self._database.write(Order.EVENTS, Order.MODELS) as connection:
            if not builtin:
                self._check_deletable(connection, identifier)
            columns = self.table.c
            query = select(columns.name, columns.path).where(columns.id == identifier)
            found = connection.execute(query).one_or_none()
            if found is None:
                raise NotFound.of(self.kind, identifier)
            self._without_aliases(connection, identifier, found.name, "deleted")
            self._without_jobs(connection, identifier)
            connection.execute(delete(self.table).where(columns.id == identifier))
        return str(found.path)

    def set_alias(self, name: str, alias: str, model_id: str, *, force: bool = False) -> AliasRecord:
        """Let an alias stand for a model from now on, whatever it stood for, and return it.

        Args:
            name: the name that both models have.
            alias: the alias.
            model_id: the model.
            force: also where it takes other pictures or answers other classes than the model before.

        Raises:
            NotFound: there is no such model.
            Conflict: the model has another name; or, with the code `OTHER_INTERFACE`, takes other pictures or answers
                other classes than the one before.
        """
        record = AliasRecord(name, alias, model_id)
        with self._database.write(Order.MODELS) as connection:
            model = self._get(connection, model_id)
            if model.name != name:
                raise Conflict(
                    f"model {model_id!r} is called {model.name!r}, not {name!r}", code="other-name"
                )
            if not force:
                self._check_interface(connection, model, name, alias)
            connection.execute(delete(tables.model_aliases).where(*_alias(name, alias)))
            connection.execute(insert(tables.model_aliases).values(**values(record)))
        return record

    def _check_interface(self, connection: Connection, model: ModelRecord, name: str, alias: str) -> None:
        before = connection.scalar(select(tables.model_aliases.c.model_id).where(*_alias(name, alias)))
        if before is None:
            return
        try:
            old = self._get(connection, before)
        except Damaged:
            return
        fields = {"target": "another target", "classes": "other classes", "input_shape": "another input"}
        differs = [said for field, said in fields.items() if getattr(old, field) != getattr(model, field)]
        if differs:
            detail = (
                f"model {model.id!r} has {' and '.join(differs)} than {old.id!r}, which {name}@{alias} stands for now; "
                "callers of the alias may not expect that"
            )
            hint = 'send "force": true to move it all the same, or choose another alias'
            raise Conflict.at("force", detail, hint, code=OTHER_INTERFACE)

    def aliased(self) -> tuple[ModelRecord, ...]:
        """Return the models that an alias stands for, the one used last first, then those whose alias is newer.

        One that is built in is among them only once it has been used: most servers never need it.
        """
        columns, uses = self.table.c, tables.model_uses.c
        named = tables.model_aliases.c
        since = select(named.model_id, func.max(named.updated_at).label("since")).group_by(named.model_id)
        newest = since.subquery()
        query = select(self.table).join(newest, newest.c.model_id == columns.id).outerjoin(tables.model_uses)
        query = query.where(or_(~columns.builtin, uses.used_at.is_not(None)))
        query = query.order_by(uses.used_at.desc().nulls_last(), newest.c.since.desc(), columns.id)
        with self._database.read() as connection:
            found = read_records(connection, query, columns.id, ModelRecord)
        return tuple(record for _, record in found if record is not None)

    def aliases(self, name: str) -> tuple[AliasRecord, ...]:
        """Return the aliases of a name, in alphabetical order."""
        columns = tables.model_aliases.c
        query = select(tables.model_aliases).where(columns.name == name).order_by(columns.alias)
        with self._database.read() as connection:
            found = read_records(connection, query, columns.alias, AliasRecord)
        return tuple(record for _, record in found if record is not None)

    def get_alias(self, name: str, alias: str) -> AliasRecord:
        """Return an alias.

        Raises:
            NotFound: there is none.
        """
        query = select(tables.model_aliases).where(*_alias(name, alias))
        with self._database.read() as connection:
            found = read_records(connection, query, tables.model_aliases.c.alias, AliasRecord)
        if not found:
            raise NotFound.of("alias", f"{name}@{alias}")
        record = found[0][1]
        if record is None:
            raise Damaged.of("alias", f"{name}@{alias}", "its time cannot be read")
        return record

    def delete_alias(self, name: str, alias: str) -> None:
        """Delete an alias; the model stays.

        Raises:
            NotFound: there is none.
        """
        with self._database.write(Order.MODELS) as connection:
            if connection.execute(delete(tables.model_aliases).where(*_alias(name, alias))).rowcount == 0:
                raise NotFound.of("alias", f"{name}@{alias}")

    def _next_version(self, connection: Connection, name: str) -> int:
        columns = self.table.c
        return (connection.scalar(select(func.max(columns.version)).where(columns.name == name)) or 0) + 1

    def _without_aliases(self, connection: Connection, identifier: str, name: str, done: str) -> None:
        columns = tables.model_aliases.c
        query = select(columns.alias).where(columns.model_id == identifier).order_by(columns.alias)
        aliases = [f"{name}@{alias}" for alias in connection.scalars(query)]
        if aliases:
            raise Conflict(
                f"model {identifier!r} is what {', '.join(aliases)} stands for and cannot be {done}; "
                "let it stand for another one first, or delete it",
                code="has-alias",
            )

    def _without_jobs(self, connection: Connection, identifier: str) -> None:
        columns = tables.jobs.c
        begins = columns.waits_for.is_not(None), text_in(columns.request, "initial_weights") == identifier
        uses = or_(columns.model_id == identifier, and_(*begins))
        query = select(columns.id).where(uses, columns.status.in_(UNFINISHED))
        jobs = list(connection.scalars(query.order_by(columns.id).limit(_NAMED_JOBS)))
        if jobs:
            raise Conflict(
                f"model {identifier!r} is used by {', '.join(jobs)}; wait for the end of that, or cancel it",
                code="in-use",
            )


def _alias(name: str, alias: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    columns = tables.model_aliases.c
    return columns.name == name, columns.alias == alias
