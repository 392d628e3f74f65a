"""The page on which every call can be tried, without internet access, and the document that it reads."""

from __future__ import annotations

import json
import threading
from http import HTTPStatus
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import fastapi_offline
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from app.web.answers.kept import PAGE_HEADERS, Kept, KeptFiles, read_file

_PAGE = "index.html"
_OURS = (_PAGE, "start.js")
_MOST_ROOTS = 4
"""Paths below which proxies show the service, of which the document is kept."""
_THEIRS = ("favicon.png", "swagger-ui-bundle.js", "swagger-ui.css")


def install(app: FastAPI) -> None:
    """Give an application its OpenAPI document and the page that shows it."""
    document = _Document(app)
    files = KeptFiles(_read_files)
    app.openapi = document.get  # type: ignore[method-assign]

    def openapi(request: Request) -> Response:
        return document.written(request.scope["root_path"]).whole.answer(request)

    def openapi_of_page(request: Request) -> Response:
        return document.written(request.scope["root_path"]).for_page.answer(request)

    def docs(request: Request) -> Response:
        return files.get()[_PAGE].answer(request, PAGE_HEADERS)

    def asset(request: Request) -> Response:
        file = files.get().get(request.path_params["name"])
        if file is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return file.answer(request, PAGE_HEADERS)

    pages = {
        "/openapi.json": openapi,
        "/docs": docs,
        "/docs/openapi.json": openapi_of_page,
        "/docs/assets/{name}": asset,
    }
    for path, page in pages.items():
        app.add_route(path, page, include_in_schema=False)


def _read_files() -> dict[str, Kept]:
    """Read the files of the page, by their names."""
    ours = Path(str(resources.files("app.web"))) / "docs"
    theirs = Path(str(resources.files(fastapi_offline))) / "static"
    files = [*(ours / name for name in _OURS), *(theirs / name for name in _THEIRS)]
    return {file.name: read_file(file) for file in files}


class _Written(NamedTuple):
    """The document as JSON.

    Attributes:
        whole: as it is.
        for_page: as the page reads it: Swagger UI takes five times as long for one that calls itself 3.1.
    """

    whole: Kept
    for_page: Kept


class _Document:
    """The document of an application, made once, by a thread of the first who asks."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._made: dict[str, Any] | None = None
        self._written: dict[str, _Written] = {}

    def get(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        with self._lock:
            return self._get()

    def written(self, root: str) -> _Written:
        """Return it as JSON, for those who call the service below a path."""
        with self._lock:
            found = self._written.pop(root, None) or self._write(root)
            while len(self._written) >= _MOST_ROOTS:
                del self._written[next(iter(self._written))]
            self._written[root] = found
            return found

    def _write(self, root: str) -> _Written:
        servers = {"servers": [{"url": root}]} if root else {}
        content = json.dumps(self._get() | servers, ensure_ascii=False, separators=(",", ":")).encode()
        for_page = content.replace(b'"openapi":"3.1.0"', b'"openapi":"3.0.3"', 1)
        return _Written(Kept.of(content, "application/json"), Kept.of(for_page, "application/json"))

    def _get(self) -> dict[str, Any]:
        if self._made is None:
            # with it come all routes and the types of their bodies
            from app.web.openapi_document import build  # noqa: PLC0415

            self._made = build(self._app)
        return self._made
