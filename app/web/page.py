"""The web page: its files as they are, and in a few words what this is for those who want no page."""

from __future__ import annotations

from http import HTTPStatus
from importlib import resources
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from app.web.answers.kept import PAGE_HEADERS, KeptFiles, read_folder
from app.web.answers.negotiation import preferred
from app.web.bodies.scopes import path_of
from app.web.middleware.gate import PAGE_FILES, is_of_page

INDEX = "index.html"
HTML, PLAIN = "text/html", "text/plain"

_WELCOME = """\
convserve trains and serves small convolutional neural networks over HTTP.

  /                in a browser: a page to build, teach and look
  /docs            every call, with examples that run when you press Execute
  /openapi.json    the same for programs
  /readyz          whether this server can work

First steps: look at /v1/catalog/presets, start a training job with
POST /v1/training-jobs {"architecture": {"preset": "lenet-5"}, "dataset": "digits"},
then send pictures to POST /v1/models/{id}/predict.
"""


class Page(BaseRoute):
    """`/`, and the files of the page below `/page/`.

    The files are read once, by a thread of the first who asks: a path is looked up among theirs, so that there is none
    to anything else.
    """

    def __init__(self) -> None:
        self._files = KeptFiles(lambda: read_folder(Path(str(resources.files("app.page")))))

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Take what is the page's, whether there is anything or not."""
        takes = scope["type"] == "http" and is_of_page(path_of(scope))
        return (Match.FULL if takes else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Raises:
            HTTPException: 404 where there is no such file, 405 for what only reading is possible of.
        """
        if scope["method"] != "GET":
            raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "GET"})
        answer = await self._answer(Request(scope), path_of(scope))
        await answer(scope, receive, send)

    async def _answer(self, request: Request, path: str) -> Response:
        if not path:
            # the page's addresses are relative to the one with the slash
            return RedirectResponse("/", HTTPStatus.PERMANENT_REDIRECT)
        files = self._files.known
        if files is None:
            files = await run_in_threadpool(self._files.get)
        if path != "/":
            file = files.get(path.removeprefix(PAGE_FILES))
            if file is None:
                raise HTTPException(HTTPStatus.NOT_FOUND)
            return file.answer(request, PAGE_HEADERS)
        names_html = HTML in request.headers.get("accept", "")
        # `*/*` alone is what programs send
        if preferred(request, (HTML, PLAIN) if names_html else (PLAIN, HTML)) == PLAIN:
            return PlainTextResponse(_WELCOME, headers={"Vary": "Accept"})
        return files[INDEX].answer(request, PAGE_HEADERS, vary="Accept")
