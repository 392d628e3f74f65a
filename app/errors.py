"""What can go wrong in the service, told without any word of HTTP; `app.web.answers.problems` maps it to a status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One bad field.

    Attributes:
        detail: what is wrong with it, with the value received.
        pointer: its place in a JSON body (RFC 6901), such as `/layers/3/kernel_size`; or else
        parameter: the name of the query parameter, header or file part that is at fault.
        hint: what would fix it.
    """

    detail: str
    pointer: str | None = None
    parameter: str | None = None
    hint: str | None = None


class DomainError(Exception):
    """A request that cannot be served.

    Attributes:
        detail: what is wrong and, where one is known, what would fix it.
        code: a stable slug in kebab-case that programs can tell errors apart by.
        errors: the fields at fault, when it is a matter of fields.
        numbers: what is needed and what is allowed, by name, when it is a matter of numbers.
    """

    default_code: ClassVar[str] = "error"

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        errors: Iterable[FieldError] = (),
        numbers: Mapping[str, int | None] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or self.default_code
        self.errors = tuple(errors)
        self.numbers = numbers


class NotFound(DomainError):
    """There is no such thing (any more)."""

    default_code = "not-found"

    def __init__(
        self, kind: str, identifier: str, *, detail: str | None = None, errors: Iterable[FieldError] = ()
    ) -> None:
        super().__init__(detail or f"there is no {kind} {identifier!r}", errors=errors)
        self.kind = kind
        self.id = identifier


class Conflict(DomainError):
    """The thing exists, but its present state does not allow this."""

    default_code = "conflict"


class Invalid(DomainError):
    """Well-formed, but wrong."""

    default_code = "invalid"


class Malformed(DomainError):
    """Not even readable in the form that it claims to have."""

    default_code = "malformed"


class TooLarge(DomainError):
    """More bytes, pixels, entries or pictures than this installation takes."""

    default_code = "too-large"


class StorageFull(DomainError):
    """The data directory holds as much as this installation allows."""

    default_code = "quota-exceeded"


class Unsupported(DomainError):
    """A media type or file format that this call does not take."""

    default_code = "unsupported-media-type"


class Unavailable(DomainError):
    """Not now: the service is starting, stopping or cannot reach its files."""

    default_code = "unavailable"


class StaleAttempt(Exception):
    """A worker wrote for an attempt that is over; its write was refused and it should stop.

    Never seen by a client: it passes between the store and a worker only.
    """

    def __init__(self, job_id: str, attempt: int) -> None:
        super().__init__(f"attempt {attempt} of {job_id} is over")
        self.job_id = job_id
        self.attempt = attempt
