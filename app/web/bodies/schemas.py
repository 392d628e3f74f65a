"""The JSON schemas of bodies that arrive in several forms, which FastAPI cannot describe by itself.

A route names in `openapi_extra` a function that describes its body: it is called when the document is asked for.
"""

from __future__ import annotations

from typing import Any

from engine.spec import Spec


def inlined_schema(model: type[Spec]) -> dict[str, Any]:
    """Return the JSON schema of a model with its definitions put in where they are used."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})

    def put_in(part: Any) -> Any:
        if isinstance(part, dict):
            name = str(part.get("$ref", "")).rpartition("/")[2]
            if name:
                rest = {key: value for key, value in part.items() if key != "$ref"}
                return put_in(definitions[name]) | rest
            return {key: put_in(value) for key, value in part.items()}
        return [put_in(member) for member in part] if isinstance(part, list) else part

    inlined: dict[str, Any] = put_in(schema)
    return inlined
