"""Files come before the rows that name them, and go where there is no row in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from app.errors import StorageFault


@contextmanager
def unless_named(remove: Callable[[], object]) -> Iterator[None]:
    """Remove files where the row that was to name them is not written.

    Where it may be written all the same they stay; clean-up removes them if no row names them.

    Args:
        remove: removes them; that it cannot is passed over.
    """
    try:
        yield
    except BaseException as error:
        if not (isinstance(error, StorageFault) and error.may_be_written):
            # what was raised first says why
            with suppress(OSError, StorageFault):
                remove()
        raise
