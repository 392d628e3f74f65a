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
    fields = {}
    for name, field in body["properties"].items():
        # what all bodies have is described once
        shared = OperationRequest.__name__ + name.title().replace("_", "")
        schemas[shared], fields[name] = field, {"$ref": _SCHEMAS + shared}
    del schemas[OperationRequest.__name__ + "Layer"]
    paths = {}
    for kind, entry in zip(LAYERS, catalog.layers(), strict=True):
        layer = json.loads(json.dumps(entry["hyperparameters"]).replace("#/$defs/", _SCHEMAS))
        schemas |= layer.pop("$defs")
        alone = kind.input_count == (1, 1)
        content = {
            "schema": _body(fields, layer, alone=alone),
            "examples": {name: {"value": value} for name, value in of_layer(kind).items()},
        }
        contents = {"application/json": content}
        if alone:
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


def _body(fields: dict[str, Any], layer: dict[str, Any], *, alone: bool) -> dict[str, Any]:
    """Return the schema of one layer's body, in which its hyperparameters are described in full.

    Args:
        fields: of all bodies.
        layer: the schema of the layer's own record, without definitions.
        alone: whether it takes one input, which may be a picture, or several.
    """
    own = {name: schema for name, schema in layer["properties"].items() if name not in {"name", "inputs"}}
    hyperparameters = {
        "type": "object",
        "description": "The layer's hyperparameters.",
        "additionalProperties": False,
        "properties": own,
        "required": layer["required"],
    }
    first, unused = ("input", ("inputs",)) if alone else ("inputs", ("input", *Pictured.model_fields))
    others = {name: schema for name, schema in fields.items() if name not in {first, "layer", *unused}}
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {first: fields[first], "layer": hyperparameters, **others},
        "required": [*([] if alone else [first]), *(["layer"] if layer["required"] else [])],
    }


def _text(entry: dict[str, Any]) -> str:
    parts = [entry["title"], entry["description"], f"`{entry['formula']}`", f"Source: {entry['source']}."]
    return "\n\n".join(part for part in parts if part)
