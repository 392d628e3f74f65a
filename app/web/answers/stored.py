"""What is stored, on the event loop: from memory where it can be, else by one thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import ParamSpec, TypeVar

from starlette.concurrency import run_in_threadpool

from app.store import Store
from app.store.cache import size_in_memory
from app.store.records import ModelRecord

SMALL_BYTES = 64 * 1024
"""In memory; an answer is made of it in a fraction of a millisecond."""

P = ParamSpec("P")
T = TypeVar("T")
A = TypeVar("A")


async def stored(store: Store, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what a method of a repository gives, and raise what it raises; for the event loop alone.

    In memory it takes microseconds. The answer is that of a read made now: a change that anybody has committed before
    this call is in it. Whoever asks the same while nothing has changed since a read began waits for that one, so that
    a row that many look at is read once for each change of it.

    Args:
        store: the store.
        read: a method of one of its repositories that is marked as `cached`, such as `store.models.find`.
        args: its arguments.
        kwargs: its arguments by name.
    """
    cache = store.cache
    held = cache.find(read, *args, **kwargs)
    if held is not None:
        return held.value
    counters = cache.counters(read)
    if counters is None:
        return await run_in_threadpool(read, *args, **kwargs)
    key = (counters, read, args, *sorted(kwargs.items()))

    def work() -> tuple[T, int]:
        value = read(*args, **kwargs)
        return value, cache.weigh(value)

    def keep(found: tuple[T, int]) -> None:
        value, size = found
        cache.keep(counters, value, size, read, *args, **kwargs)

    value, _ = await once(store, key, work, keep)
    return value


async def once(
    store: Store, key: Hashable, work: Callable[[], T], done: Callable[[T], None] = lambda value: None
) -> T:
    """Return what a thread finds, and raise what it raises; it works once for all who ask while it does.

    Args:
        store: the store.
        key: of what is asked for: with it the state of things as the caller knows it, so that nobody is given what was
            found before that.
        work: what the thread does.
        done: is given what it found, on the event loop.
    """
    going = store.cache.reading
    reading: asyncio.Future[T] | None = going.get(key)
    if reading is None:
        reading = going[key] = asyncio.ensure_future(run_in_threadpool(work))

        def ended(read: asyncio.Future[T]) -> None:
            del going[key]
            if not read.cancelled() and read.exception() is None:
                done(read.result())

        reading.add_done_callback(ended)
    # others wait for it, too, when this caller has gone
    return await asyncio.shield(reading)


async def answered(
    store: Store, answer: Callable[[T], A], read: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> A:
    """Return the answer that is made of what `stored` gives: here where that is small, else by a thread.

    Args:
        store: the store.
        answer: makes it.
        read: as for `stored`, and so are its arguments.
        args: its arguments.
        kwargs: its arguments by name.
    """
    found = await stored(store, read, *args, **kwargs)
    if is_small(store, found, read, *args, **kwargs):
        return answer(found)
    return await run_in_threadpool(answer, found)


async def stored_model(store: Store, reference: str) -> ModelRecord:
    """Return the model of an id, of a name and version, or of an alias; as `stored`, for the event loop alone.

    Raises:
        NotFound: there is none.
        Damaged: it cannot be read.
    """
    return await stored(store, store.models.find, reference)


def is_small(store: Store, found: T, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> bool:
    """Tell whether what `stored` just gave is so small that the event loop can make an answer of it."""
    size = store.cache.size(read, *args, **kwargs)
    if size is None:  # where much is written it is often not kept any more
        size = size_in_memory(found, SMALL_BYTES)
    return size <= SMALL_BYTES
