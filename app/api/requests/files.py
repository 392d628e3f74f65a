"""The body that every call with one file shares."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from engine.spec import Spec


class FileDocument(Spec):
    """The body of a call that takes a file, in JSON."""

    file: Annotated[str, Field(description="The bytes of the file, in base64; for small files.")]

    json_fields: ClassVar[frozenset[str]] = frozenset()
    """Fields that are written as JSON in a form."""
    beside: ClassVar[str | None] = None
    """The field of a second file that may come with the first."""
