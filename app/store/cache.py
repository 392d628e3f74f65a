"""What was read from the database, kept in memory until a table that it was read from changes."""

from __future__ import annotations

import math
import sys
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Generic, ParamSpec, TypeVar

from sqlalchemy import Table

from app.store.changes import Changes

MAX_READS = 4096
MAX_WRITTEN = 256
MAX_BYTES = 32 * 1024 * 1024
"""For all that is kept, by all serving processes."""

P = ParamSpec("P")
T = TypeVar("T")

_READS = "reads"


def cached(*others: Table) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Mark a method of a repository as one whose results may be cached.

    Args:
        others: what it reads beside the table of its repository; all of them watched.
    """

    def mark(method: Callable[P, T]) -> Callable[P, T]:
        setattr(method, _READS, others)
        return method

    return mark


@dataclass(frozen=True, slots=True)
class Cached(Generic[T]):
    """A value that was read when its tables had these counters."""

    value: T
    counters: tuple[int, ...]
    bytes: int


class Written:
    """What records were written as, for all who ask while they are what is stored; for the event loop alone.

    What is written must follow from the record. A changed row is another object, and what was written of the one before
    counts no more.
    """

    def __init__(self, most: int = MAX_WRITTEN) -> None:
        self._most = most
        self._written: OrderedDict[str, tuple[object, bytes]] = OrderedDict()

    def find(self, identifier: str, record: object) -> bytes | None:
        """Return what this very record was written as, None where it was not, or it is no longer kept."""
        found = self._written.get(identifier)
        return found[1] if found is not None and found[0] is record else None

    def keep(self, identifier: str, record: object, content: bytes) -> None:
        """Keep it in place of what there was before of this id; what was kept first goes first."""
        self._written.pop(identifier, None)
        self._written[identifier] = record, content
        if len(self._written) > self._most:
            self._written.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        self._written.clear()


class Cache:
    """Results of reads, each answered from memory only while a read would give the same.

    Nothing is ever cleared by those who write: what is kept has the counters of its tables from before it was read,
    and counts only while these stand. What a read raises is not kept. Records are shared by all who ask: nobody may
    change the lists and objects in them. Not for several threads at once.
    """

    def __init__(self, changes: Changes, max_reads: int = MAX_READS, max_bytes: int = MAX_BYTES) -> None:
        self._changes = changes
        self._max_reads = max_reads
        self._max_bytes = max_bytes
        self._kept: OrderedDict[tuple[Any, ...], Cached[Any]] = OrderedDict()
        self._bytes = 0
        self.written = Written()
        """What small records were written as."""
        self.reading: dict[Any, Any] = {}
        """What is being read, with the counters from before: the futures of those who wait for it."""

    def find(self, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Cached[T] | None:
        """Return what a read gave when it still does, else None; it takes microseconds and no SQL statement.

        Args:
            read: a method of a repository, marked as `cached`.
            args: its arguments.
            kwargs: its arguments by name.
        """
        key = _key(read, args, kwargs)
        found = self._kept.get(key)
        if found is None:
            return None
        if found.counters != self.counters(read):
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return found

    def size(self, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> int | None:
        """Return about how many bytes what is kept of a read takes, of now or of before; None where nothing is."""
        found = self._kept.get(_key(read, args, kwargs))
        return None if found is None else found.bytes

    def counters(self, read: Callable[..., Any]) -> tuple[int, ...] | None:
        """Return the counters of the tables that a method reads: to be asked before it is called."""
        return self._changes.counters(_tables(read))

    def weigh(self, value: Any) -> int:
        """Return about how many bytes a value takes, counted on until it is too large to be kept; for any thread."""
        return size_in_memory(value, self._max_bytes // 4)

    def keep(
        self,
        counters: tuple[int, ...],
        value: T,
        size: int,
        read: Callable[P, T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> None:
        """Keep what a read gave, unless one that began after a later change has been kept already.

        Args:
            counters: those from before the read.
            value: what it gave.
            size: of that, as `weigh` says.
            read: the method.
            args: its arguments.
            kwargs: its arguments by name.
        """
        key = _key(read, args, kwargs)
        held = self._kept.get(key)
        if held is not None and any(
            later > before for later, before in zip(held.counters, counters, strict=True)
        ):
            return
        self._drop(key)
        if size > self._max_bytes // 4:
            return
        self._kept[key] = Cached(value, counters, size)
        self._bytes += size
        while len(self._kept) > self._max_reads or self._bytes > self._max_bytes:
            self._drop(next(iter(self._kept)))

    def close(self) -> None:
        """Forget everything and let go of the database."""
        self._kept.clear()
        self.written.clear()
        self._bytes = 0
        self._changes.close()

    def _drop(self, key: tuple[Any, ...]) -> None:
        if (dropped := self._kept.pop(key, None)) is not None:
            self._bytes -= dropped.bytes


def _tables(read: Any) -> tuple[Table, ...]:
    return (read.__self__.table, *getattr(read, _READS))


def _key(read: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    return (read, args, *sorted(kwargs.items())) if kwargs else (read, args)


def size_in_memory(value: Any, enough: float = math.inf) -> int:
    """Return about how many bytes a record takes with the lists and objects in it; it ends once there are enough."""
    total = 0
    left = [value]
    while left and total <= enough:
        item = left.pop()
        total += sys.getsizeof(item)
        if isinstance(item, dict):
            left += item
            left += item.values()
        elif isinstance(item, list | tuple | frozenset):
            left += item
        elif is_dataclass(item):
            left += [getattr(item, field.name) for field in fields(item)]
    return total
