"""The calls of single layers in the OpenAPI document: one for each type in the registry, all answered by one route."""

from __future__ import annotations

import json
from typing import Any, NamedTuple, get_args

from app.api.requests.operations import OperationRequest, Pictured
from app.operations.examples import of_layer
from app.pictures.pixels import Range
from app.web.bodies.operations import form_schema
from app.web.openapi import operation_responses
from engine import catalog
from engine.layers import LAYERS

_SCHEMAS = "#/components/schemas/"
_FORM = "OperationForm"
_RANGE = {
    "name": "range",
    "in": "query",
    "description": "How numbers become the pixels of a picture, as for `convolve`.",
    "schema": {"type": "string", "enum": list(get_args(Range)), "default": "auto"},
}


class Operations(NamedTuple):
    """Parts of the document, by their names."""

    paths: dict[str, Any]
    schemas: dict[str, Any]


def describe() -> Operations:
    """Return the paths of all layers and blocks, and the schemas that they refer to."""
    body = OperationRequest.model_json_schema(ref_template=_SCHEMAS + "{model}")
    schemas: dict[str, Any] = body.pop("$defs", {})
    schemas[_FORM] = form_schema(body["properties"])
    paths = {}
    for kind, entry in zip(LAYERS, catalog.layers(), strict=True):
        layer = json.loads(json.dumps(entry["hyperparameters"]).replace("#/$defs/", _SCHEMAS))
        schemas |= layer.pop("$defs")
        for key in ("name", "inputs"):
            layer["properties"].pop(key)
        required = ["layer"] if layer["required"] else []
        unused = _other_inputs(kind.input_count)
        properties = {name: schema for name, schema in body["properties"].items() if name not in unused}
        description = "The layer's hyperparameters."
        properties["layer"] = {
            "type": "object",
            "description": description,
            "additionalProperties": False,
        } | layer
        content = {
            "schema": {
                "type": "object",
                "additionalProperties": False,
                "properties": properties,
                "required": required if "input" in properties else [*required, "inputs"],
            },
            "examples": {name: {"value": value} for name, value in of_layer(kind).items()},
        }
        contents = {"application/json": content}
        if "input" in properties:
            contents["multipart/form-data"] = {"schema": {"$ref": f"{_SCHEMAS}{_FORM}"}}
        paths[f"/v1/operations/{kind.tag()}"] = {
            "post": {
                "tags": ["operations"],
                "summary": entry["title"].rstrip("."),
                "description": _text(entry),
                "operationId": f"apply_{kind.tag()}",
                "parameters": [_RANGE],
                "requestBody": {"required": True, "content": contents},
                "responses": {str(status): answer for status, answer in operation_responses().items()},
            }
        }
    return Operations(paths, schemas)


def _other_inputs(count: tuple[int, int | None]) -> tuple[str, ...]:
    """Return those of the fields for inputs that a layer does not take."""
    return ("inputs",) if count == (1, 1) else ("input", *Pictured.model_fields)


def _text(entry: dict[str, Any]) -> str:
    parts = [entry["title"], entry["description"], f"`{entry['formula']}`", f"Source: {entry['source']}."]
    return "\n\n".join(part for part in parts if part)
