"""By which names the server may be called, and from pages of which sites."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from starlette.types import Scope

from app.errors import FieldError
from app.hosts import is_loopback
from app.settings import Settings
from app.web.answers.problems import ProblemResponse, problem_response
from app.web.bodies.needs import SAFE_METHODS
from app.web.bodies.scopes import FORWARDED_HOST

_HOST = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253})(?::[0-9]{0,5})?")
_DEFAULT_PORTS = {b"http": b":80", b"https": b":443"}


class Origins:
    """What is refused because of the name in an address, or of the page that a request comes from.

    A page can make its own name resolve to 127.0.0.1; the browser then takes this server for that of the page, and lets
    it read answers. So only certain names are answered to. With a key all are, if none are set: the page has no key.

    Args:
        settings: its `allowed_hosts` are answered to beside the names of this machine, and pages of its
            `allowed_origins` like those of the service itself.
    """

    def __init__(self, settings: Settings) -> None:
        self._names = frozenset(settings.allowed_hosts)
        self._allowed = frozenset(origin.encode() for origin in settings.allowed_origins)
        self._is_ours = lru_cache(64)(self._names_us)

    def refusal(
        self, scope: Scope, headers: Mapping[bytes, bytes], *, needs_key: bool
    ) -> ProblemResponse | None:
        """Return the answer to a request that must not pass.

        Args:
            scope: of the request.
            headers: of the request.
            needs_key: whether it also needs a key.
        """
        if self._names or not needs_key:
            # The name that a proxy was called by, too; but a page can write that header as well, so not that alone.
            for host in (headers.get(b"host"), scope.get(FORWARDED_HOST)):
                if host is not None and not self._is_ours(host):
                    return _foreign_host(host, needs_key=needs_key)
        if scope["method"] not in SAFE_METHODS and self._from_another_site(scope, headers):
            return problem_response(
                403,
                "cross-site",
                "a page of another site sent this, and browsers attach their user's credentials to it",
                errors=(
                    FieldError(
                        parameter="Sec-Fetch-Site" if b"sec-fetch-site" in headers else "Origin",
                        detail="the request comes from another origin",
                        hint="call the service from your own program or from a page that it serves itself, or have the "
                        "origin added to CONVSERVE_ALLOWED_ORIGINS",
                    ),
                ),
            )
        return None

    def _from_another_site(self, scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
        """Tell whether a browser sent this for a page that is not ours.

        The order of the questions is that of Go's net/http CrossOriginProtection: browsers say where a
        request comes from in Sec-Fetch-Site, but only over TLS and to loopback; everywhere else they send Origin.
        """
        origin = headers.get(b"origin")
        if origin in self._allowed:
            return False
        site = headers.get(b"sec-fetch-site")
        if site is not None:
            return site not in (b"same-origin", b"none")
        if origin is None:
            return False
        scheme, _, place = origin.lower().partition(b"://")
        port = _DEFAULT_PORTS.get(scheme, b"")
        host: bytes = scope.get(FORWARDED_HOST) or headers.get(b"host", b"")
        return place.removesuffix(port) != host.lower().removesuffix(port)

    def _names_us(self, host: bytes) -> bool:
        # latin-1: there are no bytes that it does not know
        written = _HOST.fullmatch(host.decode("latin-1").lower())
        if written is None:
            return False
        name = written[1]
        return is_loopback(name) or name.endswith(".localhost") or name in self._names


def _foreign_host(host: bytes, *, needs_key: bool) -> ProblemResponse:
    hint = "call it as 127.0.0.1 or localhost, or add the name to CONVSERVE_ALLOWED_HOSTS"
    return problem_response(
        403,
        "foreign-host",
        "this server answers only under names of this machine and those in CONVSERVE_ALLOWED_HOSTS"
        if needs_key
        else "this server has no API key and answers only under a name of this machine",
        errors=(
            FieldError(
                parameter="Host",
                detail=f"received {host.decode('latin-1')[:300]!r}",
                hint=hint if needs_key else f"{hint}, or set CONVSERVE_API_KEY",
            ),
        ),
    )
