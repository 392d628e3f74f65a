"""The OpenAPI document, and the page on which its examples can be executed, without internet access."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from importlib import resources
from pathlib import Path
from typing import Any

import fastapi_offline
from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from app.api.common import FieldProblem, Problem
from app.api.evaluations import ConfusionMatrix
from app.api.models import PreprocessedPicture
from app.web.late_routes import LateRoutes

DESCRIPTION = """\
Define, train and serve small convolutional neural networks, on a CPU.

Every request on this page succeeds as it stands when you press **Execute** on a fresh server: it holds
the data set `digits`, the architecture `arch_example`, the finished training job `job_example` and its
model `model_example`. Only what deletes or cancels needs an id of your own, and so do the findings of an
evaluation or a batch prediction: start one to get it.

The way of the work: choose a preset or describe an architecture, look at its shapes, start a training
job on a data set, follow it, and send pictures to the model that it made.

Errors are `application/problem+json` (RFC 9457); `errors` names each bad field by a JSON pointer and
says what would fix it. Lists are newest first; to go on, pass `next` as `after`. Shapes are
`[height, width, channels]`.
"""

TAGS = [
    {"name": "catalog", "description": "What there is to build and train with."},
    {"name": "architectures", "description": "Descriptions of networks, and their shapes and costs."},
    {"name": "datasets", "description": "Labelled pictures."},
    {"name": "training-jobs", "description": "Training, in a process of its own; it survives restarts."},
    {"name": "models", "description": "Trained networks, and what they see in your pictures."},
    {"name": "batch-predictions", "description": "What a model sees in each picture of an archive."},
    {"name": "evaluations", "description": "How good a model is on a data set, and what to try next."},
    {"name": "system", "description": "The server itself."},
]

PROBLEM_TYPE = "application/problem+json"

_DESCRIPTIONS: Mapping[int, str] = {
    400: "The request cannot be read: malformed JSON or multipart.",
    401: "The API key is missing or wrong.",
    403: "The request comes from a page of another site.",
    404: "There is no such thing.",
    409: "Its present state does not allow this.",
    413: "More bytes, pixels or pictures than this server takes.",
    415: "A media type that this call does not take.",
    422: "Well-formed, but wrong; `errors` names the fields.",
    500: "Something went wrong in the server.",
    503: "Not now.",
    507: "The data directory holds as much as it may.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Document the errors that a route can answer with."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": _DESCRIPTIONS[status], "content": {PROBLEM_TYPE: {"schema": schema}}}
        for status in statuses
    }


def install(app: FastAPI) -> None:
    """Give an application its OpenAPI document and the page that shows it."""
    app.mount("/docs/assets", StaticFiles(directory=_assets()), name="assets")

    @app.get("/docs", include_in_schema=False)
    def docs(request: Request) -> Response:
        root = request.scope.get("root_path", "").rstrip("/")
        return get_swagger_ui_html(
            openapi_url=f"{root}{app.openapi_url}",
            title=app.title,
            swagger_js_url=f"{root}/docs/assets/swagger-ui-bundle.js",
            swagger_css_url=f"{root}/docs/assets/swagger-ui.css",
            swagger_favicon_url=f"{root}/docs/assets/favicon.png",
            # Its default asks a server on the internet to validate the document.
            swagger_ui_parameters={"validatorUrl": None, "tryItOutEnabled": True},
        )

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _assets() -> Path:
    return Path(str(resources.files(fastapi_offline))) / "static"


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        tags=app.openapi_tags,
        routes=[
            route
            for known in app.routes
            for route in (known.load().routes if isinstance(known, LateRoutes) else [known])
        ],
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for model in (FieldProblem, Problem, PreprocessedPicture, ConfusionMatrix):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schema.pop("$defs", None)
        schemas[model.__name__] = schema
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    document["components"]["schemas"] = dict(sorted(schemas.items()))
    components["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "The server's API key."},
        "password": {"type": "http", "scheme": "basic", "description": "Any user name; the key as password."},
    }
    # A server without a key answers without one.
    document["security"] = [{"key": []}, {"password": []}, {}]
    always = problems(401, 403, 500)
    for path, operations in document["paths"].items():
        for operation in operations.values():
            responses = operation["responses"]
            if path in ("/livez", "/readyz"):
                operation["security"] = [{}]
            else:
                responses.update({str(status): answer for status, answer in always.items()})
            unprocessable = responses.get(str(HTTPStatus.UNPROCESSABLE_ENTITY.value))
            if unprocessable and PROBLEM_TYPE not in unprocessable["content"]:
                responses["422"] = problems(422)[422]
            operation["responses"] = dict(sorted(responses.items()))
    return document
