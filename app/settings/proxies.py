"""What stands between the server and its callers: proxies, the path below which they put it, names, and web pages."""

import ipaddress
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, field_validator

from app.hosts import Network
from app.settings.fields import Group

_ROOT_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]+)+")
_NAME = re.compile(r"[a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\]")
_ORIGIN = re.compile(rf"[a-z][a-z0-9+.-]*://(?:{_NAME.pattern})(?::[0-9]{{1,5}})?")


def _listed(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _network(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return ipaddress.ip_network(value)
    except ValueError as error:
        raise ValueError(f"use addresses and networks such as 127.0.0.1 or 10.0.0.0/8; {error}") from None


def _name(value: str) -> str:
    name = value.lower()
    if _NAME.fullmatch(name) is None:
        raise ValueError("use names or addresses without a scheme and a port, such as cnn.example")
    return name


def _origin(value: str) -> str:
    origin = value.lower()
    if _ORIGIN.fullmatch(origin) is None:
        raise ValueError(
            "use origins as browsers send them, such as https://app.example or http://localhost:3000"
        )
    return origin


_AsListed = PlainSerializer(lambda values: ",".join(map(str, values)), return_type=str)
Networks = Annotated[
    tuple[Annotated[Network, BeforeValidator(_network)], ...], BeforeValidator(_listed), _AsListed
]
"""Addresses and networks, with commas between them where they are read."""
Names = Annotated[
    tuple[Annotated[str, AfterValidator(_name)], ...],
    BeforeValidator(_listed),
    _AsListed,
]
"""Names of hosts without ports, with commas between them where they are read."""
Origins = Annotated[tuple[Annotated[str, AfterValidator(_origin)], ...], BeforeValidator(_listed), _AsListed]
"""Origins of web pages, with commas between them where they are read."""


def root_path(text: str) -> str | None:
    """Return a path without its last slash, None where the service cannot be put below it."""
    path = text.rstrip("/")
    return path if not path or _ROOT_PATH.fullmatch(path) else None


class Proxies(Group):
    """Proxies, names and origins."""

    root_path: str = Field(
        "",
        description="Path below which a proxy shows the service, such as /convserve. Requests are taken with and "
        "without it, and addresses in answers have it.",
    )
    trusted_proxies: Networks = Field(
        (),
        description="Addresses and networks of proxies, with commas between them, whose X-Forwarded-For, -Proto, -Host "
        "and -Prefix are believed; those of everybody else are not.",
    )

    allowed_hosts: Names = Field(
        (),
        description="Names, with commas between them, by which the server may be called beside those of its own "
        "machine. By default a server with a key answers to every name, and one without a key to no other.",
    )

    allowed_origins: Origins = Field(
        (),
        description="Origins, with commas between them, whose pages may call the service and read its answers, such as "
        "https://app.example; they send the key in Authorization. By default none but the service's own.",
    )

    @field_validator("root_path", mode="after")
    @classmethod
    def _usable_root(cls, value: str) -> str:
        path = root_path(value)
        if path is None:
            raise ValueError(
                "use a path of letters, digits and . _ ~ - that begins with a slash, such as /convserve"
            )
        return path
