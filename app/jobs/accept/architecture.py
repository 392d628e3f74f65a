"""From how a caller names an architecture to the architecture itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.api.requests.architectures import ArchitectureChoice, PresetChoice
from app.errors import Damaged, Invalid, NotFound, readable
from app.store import Store
from app.store.records import ArchitectureRecord, ModelRecord
from app.text import did_you_mean
from engine.errors import EngineError
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.presets import PRESETS, find


@dataclass(frozen=True)
class Resolved:
    """An architecture, and where it came from."""

    architecture: Architecture
    name: str
    place: tuple[str | int, ...]
    """The keys that lead to it in the caller's document."""
    source: dict[str, Any] | None = None

    def fault(self, error: EngineError) -> EngineError:
        """Return a fault of the architecture, seen from the caller's document."""
        if self.source is None:
            return error.within(*self.place)
        # The layer is in a document that the caller did not write: the place can only be given in words.
        where = f"{readable(error.path)}: " if error.path else ""
        return type(error)(f"{self.name}: {where}{error.detail}", path=self.place, hint=error.hint)


def read_architecture(record: ArchitectureRecord | ModelRecord) -> Architecture:
    """Return a stored architecture, or that of a model; not held against limits, which may have been lowered since.

    Raises:
        Damaged: it cannot be read.
    """
    try:
        return Architecture.model_validate(record.architecture)
    except (ValueError, EngineError) as error:
        kind = "model" if isinstance(record, ModelRecord) else "architecture"
        raise Damaged.of(kind, record.id, "its layers cannot be read") from error


def resolve(
    choice: ArchitectureChoice,
    place: Sequence[str | int],
    store: Store,
    *,
    input_shape: tuple[int, int, int] | None = None,
    classes: int | None = None,
) -> Resolved:
    """Return the architecture that was chosen.

    Args:
        choice: a preset, the id or name of a stored architecture, or one written out.
        place: the keys that lead to it in the caller's document.
        store: where the stored ones are.
        input_shape: of a preset, where none is asked for; by default its own.
        classes: the same of its outputs.

    Raises:
        Invalid: there is no such preset or stored architecture.
        Damaged: the stored one cannot be read.
    """
    keys = tuple(place)
    if isinstance(choice, PresetChoice):
        preset = find(choice.preset)
        if preset is None:
            names = [preset.name for preset in PRESETS]
            hint = did_you_mean(choice.preset, names, f"the presets are {', '.join(names)}")
            raise Invalid.at((*keys, "preset"), f"there is no preset {choice.preset!r}", hint)
        architecture = preset.architecture(choice.input_shape or input_shape, choice.classes or classes)
        return Resolved(architecture, preset.name, keys, {"preset": preset.name})
    if isinstance(choice, str):
        try:
            record = store.architectures.find(choice)
        except NotFound as error:
            hint = "list the stored ones with GET /v1/architectures"
            if find(choice) is not None:
                hint = f'to use a preset write {{"preset": "{choice}"}}'
            raise Invalid.at(keys, error.detail, hint) from None
        return Resolved(read_architecture(record), record.name, keys, {"id": record.id})
    return Resolved(choice, "network", keys)


def build(choice: ArchitectureChoice, place: Sequence[str | int], store: Store) -> tuple[str, Network]:
    """Return the name and the network of the architecture that was chosen, which may be of any size.

    Raises:
        Invalid, Damaged: as `resolve` does.
        EngineError: it is no network; the place is that in the caller's document.
    """
    resolved = resolve(choice, place, store)
    try:
        return resolved.name, Network.build(resolved.architecture)
    except EngineError as error:
        raise resolved.fault(error) from None
