"""What proxies in front of the server say of a request: who called, by which name, and below which path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from starlette.types import ASGIApp, Receive, Scope, Send

from app.hosts import is_among, read_address
from app.settings import Settings
from app.settings.proxies import root_path
from app.web.bodies.scopes import FORWARDED_HOST

_MOST_REMEMBERED = 1024
"""Addresses of which it is remembered whether they are trusted."""
_SCHEMES = ("http", "https")


class Forwarded:
    """ASGI middleware that makes of a request what it was when it came to the outermost trusted proxy.

    Proxies say so in `X-Forwarded-For`, `-Proto`, `-Host` and `-Prefix`; nobody else is believed. `Forwarded`
    (RFC 7239) is not read: the usual proxies do not write it, and pass on what a caller has made up.

    Args:
        app: what answers.
        settings: whose `root_path` holds where no proxy names another.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self._root = settings.root_path
        trusted = settings.trusted_proxies
        self._is_trusted = lru_cache(_MOST_REMEMBERED)(lambda address: is_among(address, trusted))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "http":
            root = self._root
            if scope["client"] is not None and self._is_trusted(scope["client"][0]):
                root = self._believe(scope, scope["client"][0]) or root
            if root:
                _mount(scope, root)
        await self.app(scope, receive, send)

    def _believe(self, scope: Scope, peer: str) -> str:
        """Take over what a trusted proxy says, and return the path below which it shows the service."""
        said = _said(scope)
        client, proxies = peer, 1
        for text in reversed(said.get(b"x-forwarded-for", ())):
            sender = read_address(text)
            if sender is None:
                break  # whoever wrote that is the last one known
            client = str(sender)
            if not self._is_trusted(client):
                break
            proxies += 1
        if client != peer:
            scope["client"] = (client, 0)
        scheme = _outermost(said.get(b"x-forwarded-proto"), proxies).lower()
        if scheme in _SCHEMES:
            scope["scheme"] = scheme
        if host := _outermost(said.get(b"x-forwarded-host"), proxies):
            scope[FORWARDED_HOST] = host.encode("latin-1")
        # each proxy that takes away a prefix adds it
        return root_path("".join(said.get(b"x-forwarded-prefix", ())[-proxies:])) or ""


def _said(scope: Scope) -> Mapping[bytes, Sequence[str]]:
    """Return the values of the headers that proxies add to, in the order in which they were added."""
    values: dict[bytes, list[str]] = {}
    for name, value in scope["headers"]:
        if name.startswith(b"x-forwarded-"):
            values.setdefault(name, []).extend(part.strip() for part in value.decode("latin-1").split(","))
    return values


def _outermost(values: Sequence[str] | None, proxies: int) -> str:
    """Return what the outermost of so many proxies has written; those that do not add replace what there was."""
    return values[-proxies:][0] if values else ""


def _mount(scope: Scope, root: str) -> None:
    """Say in a scope where the service is mounted (ASGI: the path has the root path in it)."""
    path: str = scope["path"]
    scope["root_path"] = root
    if path != root and not path.startswith(f"{root}/"):
        scope["path"] = root + path
