"""Rows of lists: one that cannot be answered never takes the others down."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from fastapi import Response
from pydantic import BaseModel

from app.errors import Damaged
from app.log import Log
from app.text import repaired
from app.web.bodies.whole import Whole

log = Log(__name__)


class Record(Protocol):
    """A stored record with an identifier."""

    @property
    def id(self) -> str:
        """Its identifier."""


# Of what is nested too deeply, beyond all numbers or no text, each writer says something else.
_OF_ANOTHER_SHAPE = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError)

R = TypeVar("R", bound=Record)
B = TypeVar("B", bound=BaseModel)


def answer_rows(records: Iterable[R], show: Callable[[R], B]) -> list[B]:
    """Show records; one of an earlier version that cannot be shown even repaired is left out and logged by its id."""
    found = []
    for record in records:
        try:
            found.append(answer_row(record, show))
        except Damaged:
            continue
        except Exception:
            log.exception("row_cannot_be_answered", id=record.id)
    return found


def answer_row(record: R, show: Callable[[R], B]) -> B:
    """Show a record; what of it cannot be written as JSON, which earlier versions let in, is replaced.

    Raises:
        Damaged: it is of another shape altogether.
    """
    return _shown(record, show)[0]


def written_row(record: R, show: Callable[[R], B]) -> Response:
    """Write the answer that is one record; see `answer_row`, and `app.web.answers.written` for where."""
    return Whole(row_json(record, show).encode())


def row_json(record: R, show: Callable[[R], B]) -> str:
    """Write one record as JSON; see `answer_row`."""
    return _shown(record, show)[1]


def _shown(record: R, show: Callable[[R], B]) -> tuple[B, str]:
    """Show a record, and that as JSON: whether it can be written is known then."""
    try:
        body = show(record)
        return body, body.model_dump_json()
    except _OF_ANOTHER_SHAPE:
        try:
            body = show(_repaired(record))
            return body, body.model_dump_json()
        except _OF_ANOTHER_SHAPE as error:
            log.exception("row_cannot_be_answered", id=record.id)
            raise Damaged.of("the", record.id, "what it holds is not what there should be") from error


def _repaired(record: R) -> R:
    values = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}  # type: ignore[arg-type]
    documents = {
        name: repaired(value) for name, value in values.items() if isinstance(value, dict | list | str)
    }
    return dataclasses.replace(record, **documents)  # type: ignore[type-var]
