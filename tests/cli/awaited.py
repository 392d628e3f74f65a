"""Clients whose methods are all awaited, and what the service has documented for them."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from inspect import getattr_static, iscoroutine
from pathlib import Path
from typing import Any

import pytest

from app.client import ConvserveError
from app.client.resource import Resource, stream

DOCUMENT = json.loads(
    (Path(__file__).resolve().parents[2] / "docs" / "openapi.json").read_text(encoding="utf-8")
)["paths"]
OWN = ("ready", "system", "sign", "events")


def resources(client: Any) -> dict[str, Any]:
    return {name: part for name, part in vars(client).items() if isinstance(part, Resource)}


def methods(client: Any) -> set[tuple[str, str]]:
    """Return all that can be called, with the resource that it belongs to."""
    parts = {name: [each for each in dir(part) if each[0] != "_"] for name, part in resources(client).items()}
    return {(name, each) for name, found in {**parts, "": OWN}.items() for each in found}


class Awaited:
    """A client whose methods are all awaited or gone through by `async for`, and that remembers which were used."""

    def __init__(self, client: Any) -> None:
        self.used: set[tuple[str, str]] = set()
        self._client = client
        for name, part in resources(client).items():
            setattr(self, name, _Part(name, part, self.used))

    def __getattr__(self, name: str) -> Any:
        return _Part("", self._client, self.used).__getattr__(name)


class _Part:
    def __init__(self, name: str, part: Any, used: set[tuple[str, str]]) -> None:
        self._name, self._part, self._used = name, part, used

    def __getattr__(self, attribute: str) -> Callable[..., Any]:
        method = getattr(self._part, attribute)
        self._used.add((self._name, attribute))

        async def each(*arguments: Any, **named: Any) -> AsyncIterator[Any]:
            made = method(*arguments, **named)
            if isinstance(made, AsyncIterator):
                async for entry in made:
                    yield entry
            else:
                for entry in made:
                    yield entry

        async def value(*arguments: Any, **named: Any) -> Any:
            made = method(*arguments, **named)
            return await made if iscoroutine(made) else made

        return each if isinstance(getattr_static(self._part, attribute), stream) else value


async def everything(entries: AsyncIterator[Any]) -> list[Any]:
    return [entry async for entry in entries]


async def refused(call: Awaitable[Any]) -> ConvserveError:
    with pytest.raises(ConvserveError) as caught:
        await call
    return caught.value


NOT_FOR_CLIENTS = {
    ("GET", "/livez"),  # for supervisors
    ("GET", "/metrics"),  # for Prometheus
    ("GET", "/v1/version"),  # for operators
}


def documented() -> set[tuple[str, str]]:
    """Return the method and the path of all that the service offers to clients."""
    verbs = {"get", "put", "post", "patch", "delete"}
    return {(verb.upper(), path) for path, item in DOCUMENT.items() for verb in verbs & set(item)} - (
        NOT_FOR_CLIENTS
    )
