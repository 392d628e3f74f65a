"""What can go wrong in the service, without any word of HTTP; `app.web.answers.problems` maps it to a status."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self, TypeAlias

MOST_FIELDS = 20
"""Faults that one error lists; a document with more of them is best corrected from the top."""

_MOST_CHARACTERS = 1000

Place: TypeAlias = str | Sequence[str | int]
"""A key of a document, or the keys that lead to something inside of it: `"epochs"`, `("layers", 3, "units")`."""


def shorten(text: str, most: int = _MOST_CHARACTERS) -> str:
    """Cut a text that is longer than an error should be: whoever sent a megabyte need not get it back."""
    return text if len(text) <= most else text[: most - 4] + " ..."


def pointer(keys: Sequence[str | int]) -> str:
    """Write keys as a JSON pointer (RFC 6901): ``("layers", 3)`` becomes ``/layers/3``, no key the whole document.

    Where keys are so long that an error should not repeat them, it ends with the last place before them.
    """
    written = ""
    for key in keys:
        longer = f"{written}/{str(key).replace('~', '~0').replace('/', '~1')}"
        if len(longer) > _MOST_CHARACTERS:
            break
        written = longer
    return written


def readable(keys: Sequence[str | int]) -> str:
    """Write keys for people: ``("layers", 3, "kernel_size")`` becomes ``layers[3].kernel_size``."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
    return text.removeprefix(".")


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

    def __post_init__(self) -> None:
        for name in ("detail", "parameter", "hint"):
            text = getattr(self, name)
            if text is not None:
                object.__setattr__(self, name, shorten(text))

    @classmethod
    def at(cls, place: Place, detail: str, hint: str | None = None, *, parameter: bool = False) -> Self:
        """Make the error for one place of the body, or for the parameter of that name; see `DomainError.at`."""
        keys = _keys(place)
        if parameter:
            return cls(detail, parameter=readable(keys), hint=hint)
        return cls(detail, pointer=pointer(keys), hint=hint)

    @property
    def place(self) -> str:
        """Where it is, for people; empty for a whole body."""
        if not self.pointer:
            return self.parameter or ""
        keys = (key.replace("~1", "/").replace("~0", "~") for key in self.pointer.split("/")[1:])
        return readable([int(key) if key.isdecimal() else key for key in keys])


class DomainError(Exception):
    """A request that cannot be served.

    Attributes:
        detail: what is wrong and, where one is known, what would fix it.
        code: a stable slug in kebab-case that programs can tell errors apart by.
        errors: the fields at fault, when it is a matter of fields; the first ones of many.
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
        self.detail = shorten(detail)
        super().__init__(self.detail)
        self.code = code or self.default_code
        self.errors = tuple(errors)[:MOST_FIELDS]
        self.numbers = numbers

    @classmethod
    def at(
        cls,
        place: Place,
        detail: str,
        hint: str | None = None,
        *,
        parameter: bool = False,
        code: str | None = None,
        numbers: Mapping[str, int | None] | None = None,
    ) -> Self:
        """Make the error about one field.

        Args:
            place: the key of the field in the JSON body, the keys that lead to it where it lies deeper, or the name
                of a parameter.
            detail: what is wrong with it, without its name.
            hint: what would fix it.
            parameter: `place` is the name of a query parameter, header, form field or file part.
            code: see the class.
            numbers: see the class.
        """
        return cls.listing(
            [FieldError.at(place, detail, hint, parameter=parameter)], code=code, numbers=numbers
        )

    @classmethod
    def listing(
        cls,
        errors: Sequence[FieldError],
        *,
        code: str | None = None,
        numbers: Mapping[str, int | None] | None = None,
    ) -> Self:
        """Make the error about several fields; its detail is about the first and counts the others."""
        first = errors[0]
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        place = f"{first.place}: " if first.place else ""
        return cls(f"{place}{first.detail}{more}", code=code, errors=errors, numbers=numbers)

    def with_parameters(self) -> Self:
        """Return the same error about a form: fields of the document are its parts."""
        error = copy.copy(self)
        error.errors = tuple(
            replace(fault, pointer=None, parameter=fault.place) if fault.pointer else fault
            for fault in self.errors
        )
        return error

    def __str__(self) -> str:
        """Return the message."""
        return self.message

    @property
    def message(self) -> str:
        """What is wrong and what would fix it in one line, for where no fields are shown."""
        hint = next((field.hint for field in self.errors if field.hint), "")
        return self.detail if not hint or hint in self.detail else f"{self.detail}; {hint}"


def _keys(place: Place) -> Sequence[str | int]:
    return (place,) if isinstance(place, str) else place


class Forbidden(DomainError):
    """The caller's key does not allow this."""

    default_code = "missing-scope"


class NotFound(DomainError):
    """There is no such thing (any more)."""

    default_code = "not-found"

    @classmethod
    def of(cls, kind: str, identifier: str) -> Self:
        """Make the error for an identifier that nothing of a kind has."""
        return cls(f"there is no {kind} {identifier!r}")


class Conflict(DomainError):
    """The thing exists, but its present state does not allow this."""

    default_code = "conflict"


class Damaged(Conflict):
    """It is stored, but cannot be read: its file was damaged, or somebody changed it by hand."""

    default_code = "damaged"

    @classmethod
    def of(cls, kind: str, identifier: str, what: str) -> Self:
        """Make the error for a record of a kind; `what` says what of it cannot be read."""
        return cls(
            f"the record of {kind} {identifier!r} is damaged: {what}. Everything else goes on without it; DELETE "
            "removes it with its files, a copy of the data directory from before brings it back"
        )


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


class NotInstalled(DomainError):
    """It needs a library that this installation was made without."""

    default_code = "not-installed"


class Unavailable(DomainError):
    """Not now: the service is starting, stopping or cannot reach its files."""

    default_code = "unavailable"


class StorageFault(DomainError):
    """What keeps files and database from being read or written. It passes, and is no fault of what was asked.

    `app.files.faults` makes it, of errors of the system and of SQLite.
    """

    state: ClassVar[str]
    """What waits for its end says so in this word."""

    def __init__(self, detail: str, *, part: str = "disk", kind: str | None = None, **about: Any) -> None:
        """Make the error.

        Args:
            detail: see `DomainError`.
            part: what cannot be used, `disk` or `database`.
            kind: for the metrics: `full`, `low`, `read-only`, `damaged` or `unavailable`; by default the state.
            about: see `DomainError`.
        """
        super().__init__(detail, **about)
        self.part = part
        self.kind = kind or self.state
        self.may_be_written = False
        """Whether what was to be written to a database may be there all the same: the answer to that was lost."""

    def add(self, sentence: str) -> None:
        """Say more, after what is said."""
        self.detail = shorten(f"{self.detail}. {sentence}")
        self.args = (self.detail,)


class DiskFull(StorageFault, StorageFull):
    """There is no room left on the disk."""

    default_code = "storage-full"
    state = "full"


class StorageUnavailable(StorageFault, Unavailable):
    """The disk or the database cannot be read or written now."""

    default_code = "storage-unavailable"
    state = "unavailable"


class StaleAttempt(Exception):
    """A worker wrote for an attempt that is over; its write was refused and it should stop.

    Never seen by a client: it passes between the store and a worker only.
    """

    def __init__(self, job_id: str, attempt: int) -> None:
        super().__init__(f"attempt {attempt} of {job_id} is over")
        self.job_id = job_id
        self.attempt = attempt


class LeaseLost(Exception):
    """Who wrote holds its lease no more: another process does its work now; the write was refused, and it should stop.

    Never seen by a client: it passes between the store and what runs under a lease only.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"the lease {name!r} is another's")
        self.name = name
