"""Imports without what a start does not need: it spends most of its time on them."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable

from pydantic import BaseModel


def quick_imports() -> Callable[[], None]:
    """Import the framework, and look for no garbage until the function is called that this returns.

    What is imported stays: to look for garbage in it would take a twentieth of a start, and in all that is collected
    later. Call it before anything else imports FastAPI.
    """
    gc.disable()
    _import_fastapi()

    def done() -> None:
        gc.freeze()
        gc.enable()

    return done


def _import_fastapi() -> None:
    """Import FastAPI without a tenth of what a start takes.

    The schemas of its own models of an OpenAPI document are made when the document is asked for, as those of ours
    are; and where `pydantic.v1` cannot be imported, it does not import it to ask whether a type is of that version.
    """
    sys.modules.setdefault("pydantic.v1", None)  # type: ignore[arg-type]
    before = BaseModel.model_config
    BaseModel.model_config = {**before, "defer_build": True}
    try:
        import fastapi.openapi.models  # noqa: F401, PLC0415 - see above
    finally:
        BaseModel.model_config = before
