"""The page on which every call can be tried, without internet access, and the document that it reads."""

from __future__ import annotations

import hashlib
import json
import threading
from http import HTTPStatus
from importlib import resources
from pathlib import Path
from typing import Any

import fastapi_offline
from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

_PAGE: dict[str, Any] = {
    # Its default asks a server on the internet to validate the document.
    "validatorUrl": None,
    "tryItOutEnabled": True,
    # Schemas are shown by the names of their fields, opened by whoever wants more of them.
    "defaultModelsExpandDepth": -1,
    "syntaxHighlight": False,
    # The sections are shown, and the calls of the one that is clicked: drawing all takes the page twice as long.
    "docExpansion": "none",
}
"""How Swagger UI is set."""


def install(app: FastAPI) -> None:
    """Give an application its OpenAPI document and the page that shows it."""
    app.mount("/docs/assets", StaticFiles(directory=_assets()), name="assets")
    document = _Document(app)
    app.openapi = document.get  # type: ignore[method-assign]

    def openapi(request: Request) -> Response:
        content, tag = document.written()
        if request.url.path.endswith("/docs/openapi.json"):
            # Swagger UI takes five times as long for a call of a document that calls itself 3.1
            content = content.replace(b'"openapi":"3.1.0"', b'"openapi":"3.0.3"', 1)
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        wanted = request.headers.get("if-none-match", "")
        if tag in (entry.strip() for entry in wanted.split(",")):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return Response(content, media_type="application/json", headers=headers)

    def docs(request: Request) -> Response:
        root = request.scope.get("root_path", "").rstrip("/")
        return get_swagger_ui_html(
            openapi_url=f"{root}/docs/openapi.json",
            title=app.title,
            swagger_js_url=f"{root}/docs/assets/swagger-ui-bundle.js",
            swagger_css_url=f"{root}/docs/assets/swagger-ui.css",
            swagger_favicon_url=f"{root}/docs/assets/favicon.png",
            swagger_ui_parameters=_PAGE,
        )

    for path, page in (("/openapi.json", openapi), ("/docs/openapi.json", openapi), ("/docs", docs)):
        app.add_route(path, page, include_in_schema=False)


class _Document:
    """The document of an application, made once, by a thread of the first who asks."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._made: dict[str, Any] | None = None
        self._written: tuple[bytes, str] | None = None

    def get(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        with self._lock:
            return self._get()

    def written(self) -> tuple[bytes, str]:
        """Return it as JSON, and its entity tag."""
        with self._lock:
            if self._written is None:
                content = json.dumps(self._get(), ensure_ascii=False, separators=(",", ":")).encode()
                self._written = content, f'"{hashlib.sha256(content).hexdigest()}"'
            return self._written

    def _get(self) -> dict[str, Any]:
        if self._made is None:
            # with it come all routes and the types of their bodies
            from app.web.openapi_document import build  # noqa: PLC0415

            self._made = build(self._app)
        return self._made


def _assets() -> Path:
    return Path(str(resources.files(fastapi_offline))) / "static"
