"""Requests for API keys."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Field

from app.scopes import Scope
from engine.spec import Spec

_NAME = "[A-Za-z0-9][A-Za-z0-9._@-]{0,63}"


def _name_of_key(text: str) -> str:
    if not re.fullmatch(_NAME, text):
        raise ValueError(
            "a name has 1 to 64 letters, digits, dots, _, @ and -, and begins with a letter or a digit"
        )
    return text


class KeyRequest(Spec):
    """A key that is to be made."""

    name: Annotated[str, AfterValidator(_name_of_key), Field(json_schema_extra={"pattern": f"^{_NAME}$"})]
    """What lines of the log will call it, such as `grafana` or `ann@example.org`; no other key has the same."""
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1, max_length=4)]
    """What it allows: `read` (look at everything, and compute what is not stored), `predict` (ask models about
    pictures, and nothing else), `write` (make, change and delete; includes both), `admin` (make and revoke keys;
    includes all)."""
    expires_at: AwareDatetime | None = None
    """From when on it is refused, such as `2027-01-31T12:00:00Z`; without it never."""
