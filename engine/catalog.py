"""What exists, with formulas, hyperparameters and examples: computed from the registries."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from engine.augmentations import AUGMENTATIONS
from engine.layers import LAYERS
from engine.layers.initializers import INITIALIZERS
from engine.model.explanations import EXPLANATIONS
from engine.ops.filters import FILTERS
from engine.presets import PRESETS
from engine.recipe.losses import LOSSES
from engine.recipe.optimizers import OPTIMIZERS
from engine.recipe.schedules import SCHEDULES

_TYPES = {layer.__name__: layer.tag() for layer in LAYERS}


def layers() -> list[dict[str, Any]]:
    """Return every layer and block; each comes with shapes that its example accepts."""
    entries = []
    for layer in LAYERS:
        example = layer.examples[0]
        entry = _entry(layer, example.layer)
        entry["example_input_shapes"] = [list(shape) for shape in example.inputs]
        entries.append(entry)
    return entries


def optimizers() -> list[dict[str, Any]]:
    """Return every optimizer."""
    return _entries(OPTIMIZERS)


def schedules() -> list[dict[str, Any]]:
    """Return every learning-rate schedule."""
    return _entries(SCHEDULES)


def losses() -> list[dict[str, Any]]:
    """Return every loss."""
    return _entries(LOSSES)


def augmentations() -> list[dict[str, Any]]:
    """Return every augmentation."""
    return _entries(AUGMENTATIONS)


def initializers() -> list[dict[str, Any]]:
    """Return every way in which weights can start."""
    return _entries(INITIALIZERS)


def explanations() -> list[dict[str, Any]]:
    """Return every way in which a prediction can be explained."""
    return _entries(EXPLANATIONS)


def presets() -> list[dict[str, Any]]:
    """Return every preset with its architecture at its published size."""
    return [
        {
            "name": preset.name,
            "title": preset.title,
            "source": preset.source,
            "input_shape": list(preset.input_shape),
            "classes": preset.classes,
            "smallest_size": [preset.smallest, preset.smallest],
            "architecture": preset.architecture().document(),
        }
        for preset in PRESETS
    ]


def filters() -> list[dict[str, Any]]:
    """Return every named filter with its numbers."""
    return [
        {
            "name": each.name,
            "kernel": [list(row) for row in each.kernel],
            "title": each.purpose,
            "source": each.source,
        }
        for each in FILTERS
    ]


def _entries(types: Sequence[Any]) -> list[dict[str, Any]]:
    return [_entry(part, part.examples[0]) for part in types]


def _entry(part: Any, example: dict[str, Any]) -> dict[str, Any]:
    title, _, rest = inspect.cleandoc(part.__doc__).partition("\n")
    schema = part.model_json_schema(mode="validation")
    definitions = schema.pop("$defs", {})
    return {
        "type": example["type"],
        "title": title,
        "description": rest.strip() or None,
        "formula": part.formula,
        "source": part.source,
        "hyperparameters": {
            "properties": {
                name: _brief(field) for name, field in schema["properties"].items() if name != "type"
            },
            "required": [name for name in schema.get("required", []) if name != "type"],
            "$defs": {name: _brief(found) for name, found in definitions.items() if name not in _TYPES},
        },
        "example": example,
    }


def _brief(schema: Any) -> Any:
    """Return a JSON schema in which an activation has its `type` alone: its own entry says the rest."""
    if isinstance(schema, list):
        return [_brief(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    layer = _TYPES.get(str(schema.get("$ref", "")).removeprefix("#/$defs/"))
    if layer is not None:
        return {"type": "object", "properties": {"type": {"const": layer}}, "required": ["type"]}
    return {name: _brief(value) for name, value in schema.items() if name != "discriminator"}
