"""Pictures are saved under a name of their own: what `curl -OJ` and browsers call the file."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.web.answers.attachments import inline

_ENDS = {"image/png": "png", "image/svg+xml": "svg"}
_PREFIX = "/v1/"


class PictureNames:
    """ASGI middleware that names each picture by its address: `/v1/training-jobs/job_1/curves` is job_1-curves.svg."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http" or not scope["path"].startswith(_PREFIX):
            await self.app(scope, receive, send)
            return

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                end = _ENDS.get(headers.get("content-type", "").partition(";")[0])
                if end is not None and "content-disposition" not in headers:
                    _, *parts = scope["path"].removeprefix(_PREFIX).split("/")
                    headers.update(inline(f"{'-'.join(parts)}.{end}"))
            await send(message)

        await self.app(scope, receive, named)
