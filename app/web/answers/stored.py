"""What is stored, on the event loop: from memory where it can be, else by one thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from starlette.concurrency import run_in_threadpool

from app.store import Store
from app.store.records import ModelRecord

SMALL_BYTES = 64 * 1024
"""In memory; an answer is made of it in a fraction of a millisecond."""

P = ParamSpec("P")
T = TypeVar("T")


async def stored(store: Store, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what a method of a repository gives, and raise what it raises; for the event loop alone.

    In memory it takes microseconds. The answer is that of a read made now: a change that anybody has committed before
    this call is in it.

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
    value = await run_in_threadpool(read, *args, **kwargs)
    if counters is not None:
        cache.keep(counters, value, read, *args, **kwargs)
    return value


async def stored_model(store: Store, reference: str) -> ModelRecord:
    """Return the model of an id, of a name and version, or of an alias; as `stored`, for the event loop alone.

    Raises:
        NotFound: there is none.
        Damaged: it cannot be read.
    """
    return await stored(store, store.models.find, reference)


def is_small(store: Store, read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> bool:
    """Tell whether what `stored` just gave is so small that the event loop can make an answer of it."""
    size = store.cache.size(read, *args, **kwargs)
    return size is not None and size <= SMALL_BYTES
