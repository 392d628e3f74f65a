"""The OpenAPI document: what FastAPI makes of the routes, with errors described once and layers in short."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.api.common import FieldProblem, Problem
from app.api.evaluations import ConfusionMatrix
from app.api.models import PreprocessedPicture
from app.api.operations import OperationAnswer
from app.scopes import Scope
from app.web import openapi_operations
from app.web.bodies.route import StrictRoute
from app.web.late_routes import LateRoutes
from app.web.openapi import DESCRIPTIONS, PROBLEM_TYPE
from engine.layers.base import NestedLayer

_REFUSALS: dict[int, tuple[str, dict[str, Any]]] = {
    400: (
        "Malformed",
        {
            "type": "/problems/malformed",
            "title": "Malformed",
            "status": 400,
            "detail": "the body is not valid JSON: Expecting value at line 1, column 18",
        },
    ),
    404: (
        "NotFound",
        {
            "type": "/problems/not-found",
            "title": "Not found",
            "status": 404,
            "detail": "there is no model 'model_1'",
        },
    ),
    409: (
        "Conflict",
        {
            "type": "/problems/built-in",
            "title": "Built in",
            "status": 409,
            "detail": "model 'model_example' is built in and cannot be deleted",
        },
    ),
    413: (
        "TooLarge",
        {
            "type": "/problems/too-large",
            "title": "Too large",
            "status": 413,
            "detail": "the request body is larger than 1048576 bytes, the most that this call takes",
        },
    ),
    415: (
        "UnsupportedMediaType",
        {
            "type": "/problems/unsupported-media-type",
            "title": "Unsupported media type",
            "status": 415,
            "detail": "Content-Type: the body must be JSON, not text/plain",
            "errors": [
                {
                    "parameter": "Content-Type",
                    "detail": "the body must be JSON, not text/plain",
                    "hint": "send `Content-Type: application/json`",
                }
            ],
        },
    ),
    422: (
        "Invalid",
        {
            "type": "/problems/shape-mismatch",
            "title": "Shape mismatch",
            "status": 422,
            "detail": "layers[0].kernel_size: a 7x7 window does not fit a 4x4 input",
            "errors": [
                {
                    "pointer": "/layers/0/kernel_size",
                    "detail": "a 7x7 window does not fit a 4x4 input",
                    "hint": "use a smaller window, more padding, or less stride and pooling before this layer",
                }
            ],
        },
    ),
    501: (
        "NotInstalled",
        {
            "type": "/problems/not-installed",
            "title": "Not installed",
            "status": 501,
            "detail": "models are written as ONNX files by a library that this server was installed without, onnx; ask "
            "the operator to install it where the server runs, with pip install onnx, and to start the server again",
        },
    ),
    503: (
        "Unavailable",
        {
            "type": "/problems/unavailable",
            "title": "Unavailable",
            "status": 503,
            "detail": "this server is about to stop and takes no new work; try again once it is back",
        },
    ),
    507: (
        "StorageFull",
        {
            "type": "/problems/quota-exceeded",
            "title": "Quota exceeded",
            "status": 507,
            "detail": "the data directory holds 1073741824 bytes, and 1073741824 are allowed; delete data sets, models "
            "or jobs that are not needed any more, or ask the operator to raise CONVSERVE_MAX_DATA_BYTES",
            "numbers": {"used_bytes": 1073741824, "limit_bytes": 1073741824},
        },
    ),
}
"""Names and examples of the answers that calls name by their status."""

_LAYERS = "/v1/operations/{operation_type}"

_ALWAYS: dict[int, dict[str, Any]] = {
    401: {
        "type": "/problems/unauthorized",
        "title": "Unauthorized",
        "status": 401,
        "detail": "this server answers only to callers that present one of its API keys",
        "errors": [
            {
                "parameter": "Authorization",
                "detail": "the key is missing, or is none of the server's",
                "hint": "send `Authorization: Bearer <key>`; in a browser, the key as the password",
            }
        ],
    },
    403: {
        "type": "/problems/missing-scope",
        "title": "Missing scope",
        "status": 403,
        "detail": "Authorization: this call needs the scope write, and the key has read",
        "errors": [
            {
                "parameter": "Authorization",
                "detail": "this call needs the scope write, and the key has read",
                "hint": "use a key with the scope write or admin",
            }
        ],
    },
    429: {
        "type": "/problems/too-many-requests",
        "title": "Too many requests",
        "status": 429,
        "detail": "8 requests with this key are being answered here, and no more may be at once; wait for one of them",
        "numbers": {"limit": 8},
    },
    500: {
        "type": "/problems/internal-error",
        "title": "Internal error",
        "status": 500,
        "detail": "something went wrong here, not in the request; the log has it under 0123456789abcdef",
    },
    503: {
        "type": "/problems/storage-unavailable",
        "title": "Storage unavailable",
        "status": 503,
        "detail": "the data directory is read-only. Nothing that is stored is lost. Try again later; /readyz and the "
        "log tell the operator what to do",
    },
    507: {
        "type": "/problems/storage-full",
        "title": "Storage full",
        "status": 507,
        "detail": "the disk of the server is full. Nothing that is stored is lost: try again once data sets, models or "
        "jobs that are not needed any more are deleted, or the operator has made room",
    },
}
"""Examples of what every call may answer."""


def build(app: FastAPI) -> dict[str, Any]:
    """Return the document of all routes, which are loaded for that. Takes seconds: not for the event loop."""
    late = [route for route in app.routes if isinstance(route, LateRoutes)]
    routes = [route for route in app.routes if route not in late]
    for resource in late:
        routes += (loaded := resource.load())
        for route in loaded:
            # bodies that FastAPI cannot describe: their schemas are made here, as no request needs them
            extra = route.openapi_extra or {}
            extra.update({key: part() for key, part in extra.items() if callable(part)})
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        tags=app.openapi_tags,
        routes=routes,
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for model in (FieldProblem, Problem, PreprocessedPicture, ConfusionMatrix, OperationAnswer):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= schema.pop("$defs", {})
        schemas[model.__name__] = schema
    operations = openapi_operations.describe()
    document["paths"] |= operations.paths
    schemas |= operations.schemas
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas[NestedLayer.__name__]["description"] += (
        " `GET /v1/catalog/layers` has the schema of each in full."
    )
    components["schemas"] = dict(sorted(schemas.items()))
    components["responses"] = _responses()
    components["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "An API key."},
        "password": {"type": "http", "scheme": "basic", "description": "Any user name; the key as password."},
    }
    needs = {
        (route.path, method.lower()): route.needs
        for route in routes
        if isinstance(route, StrictRoute)
        for method in route.methods or ()
    }
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            responses = operation["responses"]
            for status in [status for status in responses if status >= "4"]:
                responses[status] = _reference(_REFUSALS[int(status)][0])
            if path in ("/livez", "/readyz"):
                operation["security"] = [{}]
            else:
                # layers are described one by one, and are one route
                need = needs[path if (path, method) in needs else _LAYERS, method]
                operation["security"] = _security(need)
                operation["description"] += f"\n\n*Scope of the key: {need or 'any'}.*"
                responses["default"] = _reference("Problem")
            operation["responses"] = dict(sorted(responses.items()))
    return document


def _security(need: Scope | None) -> list[dict[str, list[Scope]]]:
    """Return who may make a call: who has a key with a scope that includes what it needs, written as a role.

    A server without keys answers without one.
    """
    roles = [need] if need is not None else []
    return [{"key": roles}, {"password": roles}, {}]


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/responses/{name}"}


def _responses() -> dict[str, Any]:
    """Describe each kind of error once; calls refer to it."""
    schema = {"$ref": "#/components/schemas/Problem"}
    described = {
        name: {
            "description": DESCRIPTIONS[status],
            "content": {PROBLEM_TYPE: {"schema": schema, "example": example}},
        }
        for status, (name, example) in _REFUSALS.items()
    }
    described["Problem"] = {
        "description": "Any other error: "
        + " ".join(f"{status}: {DESCRIPTIONS[status]}" for status in _ALWAYS),
        "content": {
            PROBLEM_TYPE: {
                "schema": schema,
                "examples": {str(status): {"value": example} for status, example in _ALWAYS.items()},
            }
        },
    }
    return dict(sorted(described.items()))
