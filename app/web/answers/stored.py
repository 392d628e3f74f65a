"""What is stored, on the event loop: from memory where it can be, else by one thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from starlette.concurrency import run_in_threadpool

from app.store import Store
from app.store.records import ModelRecord

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
