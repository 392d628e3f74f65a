"""What model files say about the making of the models: read once, then kept in memory."""

from __future__ import annotations

import threading
from collections import OrderedDict

from app.files.artifacts import Artifacts
from app.store.cache import size_in_memory
from app.store.records import Json, ModelRecord
from app.text import repaired

MAX_BYTES = 4 * 1024 * 1024
"""Of all that is kept, in memory, by all serving processes."""
MAX_ENTRY_BYTES = 64 * 1024
"""What is larger is read each time: few files have it, and an answer of it is not for the event loop."""
_NAMES = ("dataset", "initial_weights", "training", "environment", "origin")


def provenance(artifacts: Artifacts, record: ModelRecord) -> Json | None:
    """Return what the file of a model says about its making, None where it cannot be read.

    That is `dataset` (name, fingerprint, pictures), `initial_weights` (the model that it began with), `training` (the
    configuration), `environment` (the versions it was computed with), `origin` (whose weights they are, under which
    licence) and `loss`; only the header of the file is read.
    """
    # with the first model that is asked for, not with the server: it imports NumPy
    from engine.errors import EngineError  # noqa: PLC0415
    from engine.model.model_file import read_description  # noqa: PLC0415

    try:
        description = read_description(artifacts.local_path(record.path), "model", record.bytes)
    except (EngineError, OSError):
        return None
    metadata = description.get("metadata")
    said = metadata if isinstance(metadata, dict) else {}
    found: Json = repaired({name: said.get(name) for name in _NAMES} | {"loss": description.get("loss")})
    return found


class Provenances:
    """What was read of model files, by their checksums: files never change. For several threads at once.

    What is kept is shared by all who ask: nobody may change it. A file that cannot be read is tried again.
    """

    def __init__(self, artifacts: Artifacts, max_bytes: int = MAX_BYTES) -> None:
        self._artifacts, self._max_bytes = artifacts, max_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[Json, int]] = OrderedDict()
        self._bytes = 0

    def holds(self, record: ModelRecord) -> bool:
        """Tell whether `of` takes microseconds."""
        return record.sha256 in self._kept

    def of(self, record: ModelRecord) -> Json | None:
        """Return `provenance`, from memory where it was read before."""
        with self._lock:
            kept = self._kept.get(record.sha256)
            if kept is not None:
                self._kept.move_to_end(record.sha256)
                return kept[0]
        found = provenance(self._artifacts, record)
        if found is not None:
            self._keep(record.sha256, found, size_in_memory(found))
        return found

    def _keep(self, sha256: str, found: Json, size: int) -> None:
        if size > MAX_ENTRY_BYTES:
            return
        with self._lock:
            if sha256 in self._kept:
                return
            self._kept[sha256] = found, size
            self._bytes += size
            while self._bytes > self._max_bytes:
                _, (_, freed) = self._kept.popitem(last=False)
                self._bytes -= freed
