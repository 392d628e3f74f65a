"""What becomes of a job for an exception: whether it goes on when that has passed, or what it fails with."""

from __future__ import annotations

import errno

from app.errors import DomainError, Invalid, StorageFault
from app.files.faults import storage_fault
from app.store.records import Json
from engine.errors import EngineError, NonFiniteError


class PartFailed(Exception):
    """A part of a job cannot be done, and so the whole cannot.

    Attributes:
        error: `{"code", "message"}` of the part.
    """

    def __init__(self, error: Json) -> None:
        super().__init__(error["message"])
        self.error = error


def passing_fault(error: BaseException) -> StorageFault | None:
    """Return what keeps a job from going on until the disk is good again; None where it fails, or has another reason.

    Memory that is short is no such thing: the job would be short of it the next time, too.
    """
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return None
    return storage_fault(error)


def fault_of(error: Exception) -> Json:
    """Return the `{"code", "message"}` that a job fails with, in the words of an answer that refuses it."""
    match error:
        case PartFailed():
            return error.error
        case NonFiniteError():
            code, message = "non_finite", error.detail
        case EngineError():
            code, message = "invalid", Invalid.at(error.path, error.detail, error.hint).message
        case DomainError():
            code, message = error.code.replace("-", "_"), error.message
        case MemoryError() | OSError(errno=errno.ENOMEM):
            code, message = "out_of_memory", "there is not enough memory for this; try a smaller batch"
        case OSError():
            code, message = (
                "storage",
                f"a file could not be read or written: {error.strerror or type(error).__name__}",
            )
        case _:
            code, message = "internal", f"{type(error).__name__}: the log has the details"
    return {"code": code, "message": message}
