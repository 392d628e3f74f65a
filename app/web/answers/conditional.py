"""Answers that are not sent again to who has them: entity tags (RFC 9110, section 13.1.2)."""

from __future__ import annotations


def has(known: str | None, tag: str) -> bool:
    """Tell whether who asks has what has this tag; tags are compared weakly, for proxies weaken them.

    Args:
        known: the header If-None-Match of the request, if it has one.
        tag: with its quotes.
    """
    tags = [entry.strip().removeprefix("W/") for entry in (known or "").split(",")]
    return tag in tags or "*" in tags
