"""What has to be the same on every node: a node compares it before it loads anything else of this program."""

from __future__ import annotations

import sys

from app import version


def versions() -> dict[str, str]:
    """Return the versions of what a worker is made of, by name."""
    return {"Python": ".".join(map(str, sys.version_info[:2])), "convserve": version()}


def difference(here: dict[str, str], there: dict[str, str], node: str) -> str | None:
    """Say what a node has that the server has in another version; None where all is the same.

    Args:
        here: the versions of the node.
        there: those of the server.
        node: the name of the node.
    """
    if here == there:
        return None
    names = [name for name in there if here.get(name) != there[name]]
    own = " and ".join(f"{name} {here.get(name, 'of no version')}" for name in names)
    wanted = " and ".join(f"{name} {there[name]}" for name in names)
    return f"the node {node} has {own}, the server has {wanted}: nodes need the same versions"
