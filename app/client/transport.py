"""Requests to the service, and its errors as exceptions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import httpx
from pydantic import TypeAdapter, ValidationError

from app.client.records import Fault, Record

R = TypeVar("R", bound=Record)


class _Page(Record):
    data: tuple[dict[str, Any], ...]
    next: str | None = None


_FAULTS = TypeAdapter(tuple[Fault, ...])


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
        faults: tuple[Fault, ...] = (),
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


class Transport:
    """Sends requests to one service."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
        files: Any = None,
        accept: str | None = None,
    ) -> httpx.Response:
        """Send a request and return its successful answer.

        Raises:
            ConvserveError: the service answered with an error, or could not be reached.
        """
        headers = {"Accept": accept} if accept else None
        chosen = {name: value for name, value in (params or {}).items() if value is not None}
        try:
            answer = self._http.request(
                method, path, json=json, params=chosen, data=data, files=files, headers=headers
            )
        except httpx.TimeoutException as error:
            raise ConvserveError(
                f"{self._http.base_url} did not answer in time ({method} {path})",
                hint="is the service overloaded or stopped? /readyz tells",
            ) from error
        except httpx.TransportError as error:
            raise ConvserveError(
                f"cannot reach {self._http.base_url}: {error}",
                hint="start the service with `convserve serve`, or name the address of one that runs",
            ) from error
        if not answer.is_success:
            raise _error(answer)
        return answer

    def record(self, kind: type[R], method: str, path: str, **arguments: Any) -> R:
        """Send a request and return its answer as a record."""
        answer = self.request(method, path, **arguments)
        try:
            return kind.model_validate_json(answer.content)
        except ValidationError as error:
            raise self._stranger(method, path) from error

    def pages(self, kind: type[R], path: str, **params: Any) -> Iterator[R]:
        """Go through a list, newest first, asking for the next page when one is used up."""
        after: str | None = None
        while True:
            page = self.record(_Page, "GET", path, params={**params, "after": after})
            try:
                items = [kind.model_validate(item) for item in page.data]
            except ValidationError as error:
                raise self._stranger("GET", path) from error
            yield from items
            if page.next is None:
                return
            after = page.next

    def _stranger(self, method: str, path: str) -> ConvserveError:
        return ConvserveError(
            f"{self._http.base_url} gave an answer that this client does not understand ({method} {path})",
            hint="is this the address of a convserve service, and of the same version?",
        )


def _error(answer: httpx.Response) -> ConvserveError:
    """Make the exception for an answer that is an error; anything on the way may have sent it."""
    fallback = f"{answer.request.method} {answer.request.url.path} answered {answer.status_code}"
    try:
        body = answer.json()
    except ValueError:
        body = None
    if not isinstance(body, dict) or not isinstance(body.get("detail"), str):
        return ConvserveError(fallback, status=answer.status_code)
    try:
        faults = _FAULTS.validate_python(body.get("errors", ()))
    except ValidationError:
        faults = ()
    hint = None
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        hint = "pass the service's key: --api-key, or CONVSERVE_API_KEY in the environment"
    return ConvserveError(
        body["detail"], status=answer.status_code, type=body.get("type"), faults=faults, hint=hint
    )
