"""What every caller is answered alike, such as the files of a page: compressed once, and sent once to each browser."""

from __future__ import annotations

import gzip
import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from app.web.answers.conditional import has
from app.web.answers.negotiation import preferred_encoding

TYPES: Mapping[str, str] = {
    "": "text/plain; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".md": "text/plain; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}
"""Media types by the ends of names; files with another end are not served. What the system says may differ."""

_WORTH_IT = 0.9
"""Of a file's length; what gets no shorter is not sent compressed."""

_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' blob: data:",
    "media-src": "'self' blob:",
    "connect-src": "'self'",
    "font-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}

PAGE_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in _POLICY.items()),
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), display-capture=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Of every page and its files: it runs what comes from here and nothing else, and of devices it may use a camera."""


@dataclass(frozen=True)
class Kept:
    """Content that does not change while the server runs.

    Attributes:
        content: the bytes.
        kind: their media type.
        packed: them compressed by gzip, None where that gains nothing.
        digest: of the content, in its entity tags.
    """

    content: bytes
    kind: str
    packed: bytes | None
    digest: str

    @classmethod
    def of(cls, content: bytes, kind: str) -> Kept:
        """Compress content, and name it. Takes long where there is much of it: not for the event loop."""
        packed = gzip.compress(content, mtime=0)
        worth = len(packed) < _WORTH_IT * len(content)
        return cls(content, kind, packed if worth else None, hashlib.sha256(content).hexdigest())

    def answer(self, request: Request, headers: Mapping[str, str] | None = None, vary: str = "") -> Response:
        """Make the answer for a request, without the content where the browser has it already.

        The two forms have tags of their own, as strong tags must (RFC 9110, section 8.8.3).

        Args:
            request: what asks; its If-None-Match and Accept-Encoding are looked at.
            headers: further ones of the answer.
            vary: by which other header of requests the content was chosen.
        """
        content, tag, encoding = self.content, f'"{self.digest}"', None
        varies = [vary] if vary else []
        if self.packed is not None:
            varies.append("Accept-Encoding")
            if preferred_encoding(request, ("gzip",)) is not None:
                content, tag, encoding = self.packed, f'"{self.digest}-gzip"', "gzip"
        sent = {**(headers or {}), "ETag": tag, "Cache-Control": "no-cache"}
        if varies:
            sent["Vary"] = ", ".join(varies)
        if has(request.headers.get("if-none-match"), tag):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=sent)
        if encoding is not None:
            sent["Content-Encoding"] = encoding
        return Response(content, media_type=self.kind, headers=sent)


class KeptFiles:
    """Files by their names, read once, by a thread of the first who asks.

    Args:
        read: reads them.
    """

    def __init__(self, read: Callable[[], Mapping[str, Kept]]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self.known: Mapping[str, Kept] | None = None
        """The files, where they have been read."""

    def get(self) -> Mapping[str, Kept]:
        """Return them, read if they are not yet. Not for the event loop."""
        with self._lock:
            if self.known is None:
                self.known = self._read()
            return self.known


def read_file(file: Path) -> Kept:
    """Read a file of one of the types that are served. Not for the event loop."""
    return Kept.of(file.read_bytes(), TYPES[file.suffix])


def read_folder(folder: Path) -> dict[str, Kept]:
    """Read the files of a folder and those below it, by their paths in it.

    What has no type is left out, and what begins with a dot, or lies in a folder that does.
    """
    return {
        name.as_posix(): read_file(file)
        for file in sorted(folder.rglob("*"))
        if file.suffix in TYPES and file.is_file()
        for name in (file.relative_to(folder),)
        if not any(part.startswith(".") for part in name.parts)
    }
