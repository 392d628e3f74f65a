"""What tests of the store have to know of the two databases."""

import time

import pytest

from app.store import Store

only_sqlite = pytest.mark.parametrize("address", ["sqlite"], indirect=True)
"""Marks tests of what is so in a file alone."""


def heard(store: Store) -> Store:
    """Return a store once it knows what has changed: a PostgreSQL database is listened to by a thread."""
    limit = time.monotonic() + 60
    while store.counters() is None:
        assert time.monotonic() < limit
        time.sleep(0.01)
    return store
