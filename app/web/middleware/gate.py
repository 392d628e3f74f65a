"""Who may call: the API key, and no foreign web page behind its reader's back."""

from __future__ import annotations

import base64
import binascii
import hmac
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import FieldError
from app.hosts import is_loopback
from app.settings import Settings
from app.web.answers.problems import problem_response
from app.web.middleware.headers import path_of, received

OPEN_PATHS = frozenset({"/livez", "/readyz", "/v2/health/live", "/v2/health/ready"})
"""For probes: under any name and without a key."""
PAGE_FILES = "/page/"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Gate:
    """ASGI middleware that answers instead of the application where a request must not pass."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self._key = settings.api_key.get_secret_value().encode() if settings.api_key else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (refusal or self.app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        path, is_safe = path_of(scope), scope["method"] in SAFE_METHODS
        if path in OPEN_PATHS and is_safe:
            return None
        headers = received(scope)
        if self._key is None:
            # A page can make its own name resolve to 127.0.0.1; the browser then takes us for its server.
            if not _names_this_machine(headers.get(b"host")):
                return problem_response(
                    403,
                    "foreign-host",
                    "this server has no API key and answers only under a name of this machine",
                    errors=(
                        FieldError(
                            parameter="Host",
                            detail=f"received {headers[b'host'].decode('latin-1')!r}",
                            hint="call it as 127.0.0.1 or localhost, or set CONVSERVE_API_KEY",
                        ),
                    ),
                )
        elif is_safe and is_of_page(path):
            return None  # it is there to ask for the key
        elif not hmac.compare_digest(_presented_key(headers.get(b"authorization", b"")), self._key):
            refusal = problem_response(
                401,
                "unauthorized",
                "this server answers only to callers that present its API key",
                errors=(
                    FieldError(
                        parameter="Authorization",
                        detail="the key is missing or is not the server's",
                        hint="send `Authorization: Bearer <key>`; in a browser, the key as the password",
                    ),
                ),
            )
            # a line for each: Chromium takes two in one line for one scheme that it does not know
            for challenge in ('Basic realm="convserve", charset="UTF-8"', "Bearer"):
                refusal.headers.append("WWW-Authenticate", challenge)
            return refusal
        if not is_safe and _from_another_site(headers):
            return problem_response(
                403,
                "cross-site",
                "a page of another site sent this, and browsers attach their user's credentials to it",
                errors=(
                    FieldError(
                        parameter="Sec-Fetch-Site" if b"sec-fetch-site" in headers else "Origin",
                        detail="the request comes from another origin",
                        hint="call the service from your own program, or from a page that it serves itself",
                    ),
                ),
            )
        return None


def is_of_page(path: str) -> bool:
    """Tell whether a path, below where the service is mounted, is one of the web page's own."""
    return path in ("", "/") or path.startswith(PAGE_FILES)


def _presented_key(authorization: bytes) -> bytes:
    """Read the key out of an Authorization header, empty when there is none."""
    scheme, _, value = authorization.partition(b" ")
    value = value.strip()
    if scheme.lower() == b"bearer":
        return value
    if scheme.lower() == b"basic":
        try:
            _, _, password = base64.b64decode(value, validate=True).partition(b":")
        except (binascii.Error, ValueError):
            return b""
        return password
    return b""


@lru_cache(maxsize=64)
def _names_this_machine(host: bytes | None) -> bool:
    if host is None:
        return True
    try:
        # latin-1: there are no bytes that it does not know
        name = urlsplit(f"//{host.decode('latin-1')}").hostname or ""
    except ValueError:
        return False
    return is_loopback(name) or name.endswith(".localhost")


def _from_another_site(headers: dict[bytes, bytes]) -> bool:
    """Tell whether a browser sent this for a page that is not ours.

    The order of the questions is that of Go's net/http CrossOriginProtection: browsers say where a
    request comes from in Sec-Fetch-Site, but only over TLS and to loopback; everywhere else they send Origin.
    """
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        return site not in (b"same-origin", b"none")
    origin = headers.get(b"origin")
    if origin is None:
        return False
    try:
        place = urlsplit(origin.decode("latin-1")).netloc
    except ValueError:
        return True
    return place.encode("latin-1") != headers.get(b"host")
