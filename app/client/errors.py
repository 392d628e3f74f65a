"""What goes wrong between a client and the service, as exceptions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from pydantic import ValidationError

from app.api.common import FieldProblem

_NPZ = "application/x-npz"


class ConvserveError(Exception):
    """The service refused a request, or cannot be reached.

    Attributes:
        detail: what is wrong, in a sentence.
        status: the HTTP status; None when there was no answer.
        type: the kind of problem, such as `/problems/shape-mismatch`; None when it was no problem+json.
        faults: the bad fields, each with its place and a hint.
    """

    def __init__(
        self,
        detail: str,
        *,
        status: int | None = None,
        type: str | None = None,  # noqa: A002 - the member's name in RFC 9457
        faults: tuple[FieldProblem, ...] = (),
        hint: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status
        self.type = type
        self.faults = faults
        self._hint = hint

    @property
    def pointer(self) -> str | None:
        """The place of the first bad field in the JSON body that was sent."""
        return next((fault.pointer for fault in self.faults if fault.pointer is not None), None)

    @property
    def hint(self) -> str | None:
        """What would fix it."""
        return self._hint or next((fault.hint for fault in self.faults if fault.hint), None)


@contextmanager
def reaching(base_url: httpx.URL, what: str) -> Iterator[None]:
    """Turn what goes wrong on the way to the service and back into `ConvserveError`."""
    try:
        yield
    except httpx.TimeoutException as error:
        raise ConvserveError(
            f"{base_url} did not answer in time ({what})",
            hint="is the service overloaded or stopped? ask for /readyz",
        ) from error
    except httpx.TransportError as error:
        raise ConvserveError(
            f"cannot reach {base_url}: {error}",
            hint="start the service with `convserve serve`, or name the address of one that runs",
        ) from error


def unreadable(base_url: httpx.URL, what: str) -> ConvserveError:
    """Make the exception for an answer that cannot be read."""
    return ConvserveError(
        f"{base_url} gave an answer that this client does not understand ({what})",
        hint="is this the address of a convserve service, and of the same version?",
    )


def refusal(answer: httpx.Response, as_file: str | None = None) -> ConvserveError:
    """Make the exception for an answer that is an error; anything on the way may have sent it.

    Args:
        answer: the answer.
        as_file: the method of the client to call when there are too many numbers for JSON.
    """
    fallback = f"{answer.request.method} {answer.request.url.path} answered {answer.status_code}"
    try:
        body = answer.json()
    except ValueError:
        body = None
    if not isinstance(body, dict) or not isinstance(body.get("detail"), str):
        return ConvserveError(fallback, status=answer.status_code)
    try:
        faults = tuple(
            FieldProblem.model_validate(fault, extra="ignore") for fault in body.get("errors") or ()
        )
    except (TypeError, ValidationError):
        faults = ()
    hint = None
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        hint = "pass the service's key: --api-key, or CONVSERVE_API_KEY in the environment"
    elif as_file and answer.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE and _NPZ in body["detail"]:
        hint = f'the client\'s `{as_file}` gives a picture, or arrays with accept="{_NPZ}"'
    return ConvserveError(
        body["detail"], status=answer.status_code, type=body.get("type"), faults=faults, hint=hint
    )
