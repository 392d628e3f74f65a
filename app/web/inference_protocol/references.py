"""How the protocol names a model: by a name and perhaps a version, in separate parts of the path."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from app.errors import NotFound
from app.services import ServicesDep
from app.store import Store
from app.store.records import ModelRecord
from app.web.answers.stored import stored_model


async def _named(request: Request, services: ServicesDep) -> ModelRecord:
    """Return the model that the path of a request names.

    Raises:
        NotFound: there is none, or it has another version.
        Damaged: it cannot be read.
    """
    parts = request.path_params
    return await _referred(services.store, parts["name"], parts.get("version"))


Named = Annotated[ModelRecord, Depends(_named)]
"""The model of a path with `{name}`: all that names one under `/v1`; and perhaps `{version}`, a number or an alias."""


async def _referred(store: Store, name: str, version: str | None) -> ModelRecord:
    if version is None:
        return await stored_model(store, name)
    if "@" not in name:
        try:
            return await stored_model(store, f"{name}@{version}")
        except NotFound:
            pass
    record = await stored_model(store, name)
    if str(record.version) != version or name == record.name:
        raise NotFound(f"the model {name!r} has no version {version!r}")
    return record
