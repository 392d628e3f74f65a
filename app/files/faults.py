"""What keeps files from being read or written: the one place where errors of systems and stores get their words."""

from __future__ import annotations

import errno
import sqlite3

from app.errors import DiskFull, StorageFault, StorageUnavailable

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

_READ_ONLY, _DAMAGED = "is read-only", "is damaged"
_KINDS = {_READ_ONLY: "read-only", _DAMAGED: "damaged"}
"""What metrics call a fault that is said in these words."""

_ERRORS = {
    errno.EROFS: _READ_ONLY,
    errno.EACCES: "may not be used by the user that the server runs as",
    errno.EPERM: "may not be used by the user that the server runs as",
    errno.EIO: "cannot be read or written: its device reports an error",
    errno.ENXIO: "is gone: its device is not there any more",
    errno.ENODEV: "is gone: its device is not there any more",
    errno.ESTALE: "is gone: its file system was mounted anew, or its server has lost it",
    errno.ENOMEM: "cannot be mapped: the system has no memory left for that",
    errno.EMFILE: "cannot be opened: the server has as many files open as it may",
    errno.ENFILE: "cannot be opened: the system has as many files open as it can",
}

_OF_SQLITE = {
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_PERM: "may not be used by the user that the server runs as",
    sqlite3.SQLITE_IOERR: "cannot be read or written: its device reports an error, or has no room left",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: it is gone, or may not be used",
    sqlite3.SQLITE_BUSY: "is in use: somebody else has been writing for too long",
    sqlite3.SQLITE_LOCKED: "is in use: somebody else has been writing for too long",
    sqlite3.SQLITE_NOMEM: "cannot be read: the system has no memory left for that",
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
}
_PRIMARY = 0xFF
"""Of a code of SQLite; the rest says more precisely what it is."""

OPERATOR = "Nothing that is stored is lost. Try again later; /readyz and the log tell the operator what to do"
"""What an answer says of every fault that passes."""


class ObjectStoreFault(OSError):
    """An object store cannot be used now.

    Args:
        words: what is wrong with it, to follow "the object store".
        said: what it said itself, for the log.
        full: whether it has no room left.
    """

    def __init__(self, words: str, said: str = "", *, full: bool = False) -> None:
        super().__init__(errno.EIO, f"the object store {words}" + (f" ({said})" if said else ""))
        self.words = words
        self.full = full


def storage_fault(error: BaseException) -> StorageFault | None:
    """Return what an error says of the data directory; None of one that is about something else.

    An error that was raised from another one is about what that is about. No path of the server is in what is returned.

    Args:
        error: what was raised.
    """
    current: BaseException | None = error
    while current is not None:
        found = _fault(current)
        if found is not None:
            return found
        current = current.__cause__
    return None


def damages(error: BaseException) -> bool:
    """Tell whether an error says that the database is damaged."""
    current: BaseException | None = error
    while current is not None:
        if isinstance(current, sqlite3.Error) and _code(current) in (
            sqlite3.SQLITE_CORRUPT,
            sqlite3.SQLITE_NOTADB,
        ):
            return True
        current = current.__cause__
    return False


def is_read_only(error: BaseException) -> bool:
    """Tell whether an error says that a database that is where it was could only be read."""
    return (
        isinstance(error, sqlite3.Error)
        and _code(error) == sqlite3.SQLITE_READONLY
        and error.sqlite_errorcode != sqlite3.SQLITE_READONLY_DBMOVED
    )


def reason(error: BaseException) -> str:
    """Return the words of the system for an error, for the log."""
    while error.__cause__ is not None:
        error = error.__cause__
    # without the path that an error of the system may have
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def _fault(error: BaseException) -> StorageFault | None:  # noqa: PLR0911 - one for each kind
    if isinstance(error, StorageFault):
        return error
    if isinstance(error, ObjectStoreFault):
        if error.full:
            return _full("object store", f"the object store {error.words}")
        return _unavailable("object store", "object store", error.words)
    if isinstance(error, OSError) and error.errno is not None:
        if error.errno in _FULL:
            return _full("disk")
        words = _ERRORS.get(error.errno)
        return None if words is None else _unavailable("disk", "data directory", words)
    if isinstance(error, sqlite3.Error):
        code = _code(error)
        if code == sqlite3.SQLITE_FULL:
            return _full("database")
        words = _OF_SQLITE.get(code)
        return None if words is None else database_fault(words)
    return None


def database_fault(words: str) -> StorageFault:
    """Return the error of a database that cannot be used; `words` say why: `is read-only`."""
    return _unavailable("database", "database", words)


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & _PRIMARY


def _unavailable(part: str, name: str, words: str) -> StorageUnavailable:
    return StorageUnavailable(f"the {name} {words}. {OPERATOR}", part=part, kind=_KINDS.get(words))


def _full(part: str, what: str = "the disk of the server is full") -> DiskFull:
    return DiskFull(
        f"{what}. Nothing that is stored is lost: try again once data sets, models or jobs "
        "that are not needed any more are deleted, or the operator has made room",
        part=part,
    )
