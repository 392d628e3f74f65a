"""How the protocol names a model: by a name and perhaps a version, in separate parts of the path."""

from __future__ import annotations

from app.errors import NotFound
from app.store import Store
from app.store.records import ModelRecord
from app.web.answers.stored import stored_model


async def referred(store: Store, name: str, version: str | None) -> ModelRecord:
    """Return a model.

    Args:
        store: the store.
        name: everything that names a model under `/v1`: a name, an id, `digits@2` or `digits@production`.
        version: a number, or an alias; None where the name says all.

    Raises:
        NotFound: there is none, or it has another version.
        Damaged: it cannot be read.
    """
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
