"""Why what an operator asked for was not done."""

from __future__ import annotations

from app.errors import DomainError


class CareError(DomainError):
    """It cannot be done, and nothing that was there before has been changed."""


class BadBackup(CareError):
    """A backup is not whole, or is none; the message names what is wrong with it."""
