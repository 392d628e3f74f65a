"""The answers that creating calls got, by idempotency key: written with what was created, kept for a day."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Connection, delete, select

from app.errors import Damaged
from app.store.database import Database
from app.store.expressions import upsert
from app.store.records import AnswerRecord, now
from app.store.repository import values
from app.store.rows import read_records
from app.store.tables import answers

LIFETIME = timedelta(hours=24)


class AnsweredMeanwhile(Exception):
    """Another process has answered a call with this key since it was looked for; what was about to be created is not.

    Never seen by a client: it passes between the store and what handles the call.
    """

    def __init__(self, answer: AnswerRecord) -> None:
        super().__init__(f"{answer.route} was answered meanwhile")
        self.answer = answer


class Answers:
    """What was answered under each key."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, route: str, key: str) -> AnswerRecord | None:
        """Return the answer of the last day to a call with this key, None when there is none.

        Raises:
            Damaged: there is one, and it cannot be read.
        """
        with self._database.read() as connection:
            return _find(connection, route, key)


def _find(connection: Connection, route: str, key: str) -> AnswerRecord | None:
    columns = answers.c
    query = select(answers).where(
        columns.route == route, columns.key == key, columns.created_at > now() - LIFETIME
    )
    found = read_records(connection, query, columns.key, AnswerRecord)
    if not found:
        return None
    if found[0][1] is None:
        raise Damaged(f"what was answered under the key {key!r} cannot be read any more; send another key")
    return found[0][1]


def keep(connection: Connection, answer: AnswerRecord | None) -> None:
    """Keep an answer, if there is one to keep, in the transaction that creates what it tells of.

    Raises:
        AnsweredMeanwhile: so was another call with this key.
        Damaged: so was another, by what cannot be read.
    """
    if answer is None:
        return
    earlier = _find(connection, answer.route, answer.key)
    if earlier is not None:
        raise AnsweredMeanwhile(earlier)
    connection.execute(delete(answers).where(answers.c.created_at <= answer.created_at - LIFETIME))
    # Another that is being written under this key is waited for.
    kept = upsert(connection, answers).values(**values(answer)).on_conflict_do_nothing()
    if connection.scalar(kept.returning(answers.c.key)) is None:
        earlier = _find(connection, answer.route, answer.key)
        if earlier is not None:
            raise AnsweredMeanwhile(earlier)
