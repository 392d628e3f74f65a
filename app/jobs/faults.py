"""What a job fails with: the code and the words for an exception."""

from __future__ import annotations

from app.errors import DomainError, Invalid
from app.store.records import Json
from engine.errors import EngineError, NonFiniteError


def fault_of(error: Exception) -> Json:
    """Return the `{"code", "message"}` that a job fails with, in the words of an answer that refuses it."""
    match error:
        case NonFiniteError():
            code, message = "non_finite", error.detail
        case EngineError():
            code, message = "invalid", Invalid.at(error.path, error.detail, error.hint).message
        case DomainError():
            code, message = error.code.replace("-", "_"), error.message
        case MemoryError():
            code, message = "out_of_memory", "there is not enough memory for this; try a smaller batch"
        case OSError():
            code, message = "storage", f"a file could not be read or written: {error}"
        case _:
            code, message = "internal", f"{type(error).__name__}: the log has the details"
    return {"code": code, "message": message}
