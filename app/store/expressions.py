"""What queries say differently to SQLite and to PostgreSQL, each beside the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    JSON,
    Boolean,
    ColumnElement,
    Connection,
    DateTime,
    Float,
    FunctionElement,
    String,
    Table,
    case,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.types import NullType

if TYPE_CHECKING:
    from sqlalchemy.sql.compiler import SQLCompiler

AS_WRITTEN = String().with_variant(DateTime(), "postgresql")
"""The type of a time that is compared as it is written: in a damaged SQLite file it may be none."""
_NUMBERS = ("integer", "real", "number")
"""How a number is called."""


class Clock(FunctionElement[float]):
    """The seconds since 1970 by the clock of the database."""

    type = Float()
    inherit_cache = True


@compiles(Clock, "sqlite")
def _(element: Clock, compiler: SQLCompiler, **options: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(Clock, "postgresql")
def _(element: Clock, compiler: SQLCompiler, **options: Any) -> str:
    # not that of the beginning of the transaction, which may have waited since
    return "CAST(extract(epoch FROM clock_timestamp()) AS DOUBLE PRECISION)"


class _Sound(FunctionElement[Any]):
    """A JSON column, with NULL for what is no JSON: one row that is damaged would end the whole query."""

    type = JSON()
    inherit_cache = True


@compiles(_Sound, "sqlite")
def _(element: _Sound, compiler: SQLCompiler, **options: Any) -> str:
    column = compiler.process(element.clauses, **options)
    return f"CASE WHEN json_valid({column}) = 1 THEN {column} END"


@compiles(_Sound, "postgresql")
def _(element: _Sound, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)  # it takes nothing else


class _HasEntry(FunctionElement[bool]):
    """Whether a list in JSON has a text as an entry."""

    type = Boolean()
    inherit_cache = True


@compiles(_HasEntry, "sqlite")
def _(element: _HasEntry, compiler: SQLCompiler, **options: Any) -> str:
    entries, text = (compiler.process(part, **options) for part in element.clauses)
    entry = f"SELECT 1 FROM json_each({entries}) AS entry WHERE entry.value = {text}"  # noqa: S608 - compiled
    return f"EXISTS ({entry})"


@compiles(_HasEntry, "postgresql")
def _(element: _HasEntry, compiler: SQLCompiler, **options: Any) -> str:
    entries, text = (compiler.process(part, **options) for part in element.clauses)
    entries = f"CASE json_typeof({entries}) WHEN 'array' THEN {entries} END"
    rows = f"json_array_elements_text({entries}) AS entry(text)"
    return f"EXISTS (SELECT 1 FROM {rows} WHERE entry.text = {text})"  # noqa: S608 - compiled


class _Kind(FunctionElement[str]):
    """What a value in JSON is, in a word."""

    type = String()
    inherit_cache = True


@compiles(_Kind, "sqlite")
def _(element: _Kind, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_type({compiler.process(element.clauses, **options)})"


@compiles(_Kind, "postgresql")
def _(element: _Kind, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_typeof({compiler.process(element.clauses, **options)})"


class _Folded(FunctionElement[str]):
    """A text in small letters, of any alphabet."""

    type = String()
    inherit_cache = True


@compiles(_Folded, "sqlite")
def _(element: _Folded, compiler: SQLCompiler, **options: Any) -> str:
    return f"lower({compiler.process(element.clauses, **options)})"


@compiles(_Folded, "postgresql")
def _(element: _Folded, compiler: SQLCompiler, **options: Any) -> str:
    # columns are compared byte by byte, which knows the letters of ASCII alone
    return f'lower({compiler.process(element.clauses, **options)} COLLATE "default")'


class _Written(FunctionElement[str]):
    """A value as it is written, also one that is damaged."""

    type = String()
    inherit_cache = True


@compiles(_Written, "sqlite")
def _(element: _Written, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)  # any column may hold anything


@compiles(_Written, "postgresql")
def _(element: _Written, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **options)} AS TEXT)"


class _Document(FunctionElement[Any]):
    """A text as the document that it is."""

    type = NullType()
    inherit_cache = True


@compiles(_Document, "sqlite")
def _(element: _Document, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)  # it is kept as a text


@compiles(_Document, "postgresql")
def _(element: _Document, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **options)} AS JSON)"


class _RowPlace(FunctionElement[Any]):
    """Where a row is in its table: tells rows apart of which no column can be trusted."""

    type = NullType()
    inherit_cache = True


@compiles(_RowPlace, "sqlite")
def _(element: _RowPlace, compiler: SQLCompiler, **options: Any) -> str:
    return f"{_table(element)}.rowid"


@compiles(_RowPlace, "postgresql")
def _(element: _RowPlace, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST({_table(element)}.ctid AS TEXT)"


def _table(element: _RowPlace) -> str:
    (column,) = element.clauses
    return str(column.table.name)


def written(column: ColumnElement[Any]) -> ColumnElement[str]:
    """Return a column as text, as it is written."""
    return _Written(column)


def document(text: ColumnElement[str]) -> ColumnElement[Any]:
    """Return a text as a document that is stored as it is written."""
    return _Document(text)


def row_place(table: Table) -> ColumnElement[Any]:
    """Return what tells the rows of a table apart, within one transaction."""
    return _RowPlace(next(iter(table.c)))


def has_tag(column: ColumnElement[Any], tag: str, key: str | None = None) -> ColumnElement[bool]:
    """Return the condition that a list in a JSON column holds a text.

    Args:
        column: the column.
        tag: the text.
        key: where in the document the list is; by default it is the document.
    """
    document = _Sound(column)
    return _HasEntry(document if key is None else document[key], tag)


def text_in(column: ColumnElement[Any], key: str) -> ColumnElement[str | None]:
    """Return the text under a key of a JSON column, NULL where there is none."""
    text: ColumnElement[str | None] = _Sound(column)[key].as_string()
    return text


def number_in(column: ColumnElement[Any], key: str) -> ColumnElement[float | None]:
    """Return the number under a key of a JSON column, NULL where there is none."""
    value = _Sound(column)[key]
    return case((_Kind(value).in_(_NUMBERS), value.as_float()))


def has_text(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """Return the condition that a text is in a column, in large letters or small ones."""
    return _Folded(column).contains(text.lower(), autoescape=True)


def later(one: ColumnElement[Any], other: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the greater of two values."""
    return case((one > other, one), else_=other)


def upsert(connection: Connection, table: Table) -> Any:
    """Return an INSERT that can say what happens where there is such a row already."""
    if connection.dialect.name == "postgresql":
        # only where it is used
        from sqlalchemy.dialects.postgresql import insert as into_postgresql  # noqa: PLC0415

        return into_postgresql(table)
    from sqlalchemy.dialects.sqlite import insert as into_sqlite  # noqa: PLC0415

    return into_sqlite(table)
