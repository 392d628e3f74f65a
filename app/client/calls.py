"""The calls of the service as values: written once, sent by either client.

A `Call` is one request and the reader of its answer. What takes several of them is a generator that yields its
steps and is given their results: a `Script` returns something at its end, a `Stream` gives things on the way. None of
it sends or waits; `app.client.transport` does, with or without `await`.
"""

from __future__ import annotations

import json as json_text
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from fnmatch import fnmatch
from os import PathLike
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeGuard, TypeVar, cast

import httpx
from pydantic import BaseModel

from app.api.common import ListOf, PageOf
from app.api.jobs import JobBody
from app.client.errors import ConvserveError

T = TypeVar("T")
B = TypeVar("B", bound=BaseModel)

_BYTES = "application/octet-stream"

File: TypeAlias = str | PathLike[str]
"""The path of a file."""

Picture: TypeAlias = File | tuple[str, bytes]
"""A picture to send: the path of a file, or a name and the bytes of one."""


def is_picture(given: Any) -> TypeGuard[Picture]:
    """Return whether something is one picture, and no list of them and no numbers."""
    return isinstance(given, str | PathLike) or (
        isinstance(given, tuple) and len(given) > 1 and isinstance(given[1], bytes)
    )


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file of a form; one on the disk is opened when it is sent."""

    field: str
    filename: str
    content: Path | bytes

    @classmethod
    def of(cls, field: str, file: Picture) -> Attachment:
        """Attach a file under its own name."""
        if isinstance(file, tuple):
            return cls(field, *file)
        path = Path(file)
        return cls(field, path.name, path)

    @classmethod
    def each(cls, field: str, files: Picture | Sequence[Picture]) -> list[Attachment]:
        """Attach one file, or several."""
        several = [files] if is_picture(files) else cast("Sequence[Picture]", files)
        return [cls.of(field, file) for file in several]


def written(value: Any) -> str:
    """Write a value as JSON; what has a `tolist`, such as an array of NumPy, as the list that it gives."""
    return json_text.dumps(value, default=_listed, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _listed(value: Any) -> Any:
    tolist = getattr(value, "tolist", None)
    if tolist is None:
        raise TypeError(f"{type(value).__name__} cannot be sent as JSON")
    return tolist()


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request.

    Attributes:
        method: of HTTP.
        path: with everything quoted.
        read: makes something of the answer.
        params: the query; what is None is left out.
        json: the body, or else
        data: the text fields of a form, and
        files: its files.
        accept: the media type that is wanted.
        refusable: whether `read` also takes an answer that is an error.
        as_file: the method that gives as a file what can have too many numbers for JSON.
    """

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    params: Mapping[str, Any] = field(default_factory=dict)
    json: Any = None
    data: Mapping[str, Any] | None = None
    files: Sequence[Attachment] = ()
    accept: str | None = None
    refusable: bool = False
    as_file: str | None = None

    def request(self, http: httpx.Client | httpx.AsyncClient, opened: ExitStack) -> httpx.Request:
        """Make the request; its files are open for as long as `opened` is."""
        files = [
            (
                attached.field,
                (
                    attached.filename,
                    opened.enter_context(attached.content.open("rb"))
                    if isinstance(attached.content, Path)
                    else attached.content,
                    _BYTES,
                ),
            )
            for attached in self.files
        ]
        headers = {"Accept": self.accept} if self.accept else {}
        if self.json is not None:
            headers["Content-Type"] = "application/json"
        return http.build_request(
            self.method,
            self.path,
            params={name: value for name, value in self.params.items() if value is not None},
            content=None if self.json is None else written(self.json).encode(),
            data=self.data,
            files=files or None,
            headers=headers,
        )

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a job.

    Attributes:
        kind: `status`, `epoch`, `progress`, and at last `end`; of all jobs also `changed`.
        id: its number, or its place among the events of all jobs; `progress` and `changed` have none.
        data: what happened, as `docs/http.md` describes it.
    """

    kind: str
    id: int | None
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pause:
    """A step: wait so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Item(Generic[T]):
    """A step of a stream: here is something."""

    value: T


@dataclass(frozen=True, slots=True)
class Connect:
    """A step of a stream: read lines while they come, and give what they make.

    The result is the `ConvserveError` that ended it, or None when the other side has.
    """

    path: str
    headers: Mapping[str, str]
    feed: Callable[[str], Event | None]


Script: TypeAlias = Generator[Call[Any] | Pause, Any, T]
Stream: TypeAlias = Generator[Call[Any] | Pause | Connect | Item[T], Any, None]


def understood(kind: type[B], answer: httpx.Response) -> B:
    """Read the body of an answer; fields that this version has no name for are left out."""
    return kind.model_validate_json(answer.content, extra="ignore")


def record(kind: type[B], method: str, path: str, **details: Any) -> Call[B]:
    """Describe a call that is answered with an object."""
    return Call(method, path, lambda answer: understood(kind, answer), **details)


def entries(kind: type[B], path: str, **query: Any) -> Call[tuple[B, ...]]:
    """Describe a call that is answered with a list, all of it at once."""

    def read(answer: httpx.Response) -> tuple[B, ...]:
        return tuple(understood(ListOf[kind], answer).data)  # type: ignore[valid-type]

    return Call("GET", path, read, params=query, accept="application/json")


def nothing(method: str, path: str) -> Call[None]:
    """Describe a call whose answer says no more than that it is done."""
    return Call(method, path, lambda answer: None)


def content(path: str, accept: str, method: str = "GET", **details: Any) -> Call[bytes]:
    """Describe a call that is answered with a file; one in a form that was not asked for is an error."""

    def read(answer: httpx.Response) -> bytes:
        form = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        if not any(fnmatch(form, wanted.partition(";")[0].strip()) for wanted in accept.split(",")):
            raise ConvserveError(
                f"{method} {path} answered with {form or 'a file of no type'}, and {accept} was asked for",
                status=answer.status_code,
            )
        return answer.content

    return Call(method, path, read, accept=accept, **details)


def pages(kind: type[B], path: str, **params: Any) -> Stream[B]:
    """List entries, newest first, asking for the next page when one is used up."""

    def read(answer: httpx.Response) -> tuple[list[B], str | None]:
        page = understood(PageOf[kind], answer)  # type: ignore[valid-type]
        return page.data, page.next

    after: str | None = None
    while True:
        entries, after = yield Call("GET", path, read, params={**params, "after": after})
        for entry in entries:
            yield Item(entry)
        if after is None:
            return


def watched(call: Call[T], over: Callable[[T], bool], interval: float) -> Stream[T]:
    """Make a call every `interval` seconds and give each answer, the last one when that is the last there will be."""
    while True:
        answer: T = yield call
        yield Item(answer)
        if over(answer):
            return
        yield Pause(interval)


def awaited(call: Call[T], over: Callable[[T], bool], interval: float) -> Script[T]:
    """Make a call every `interval` seconds until its answer is the last there will be, and return that."""
    while True:
        answer: T = yield call
        if over(answer):
            return answer
        yield Pause(interval)


def chosen(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is None: that is left to the service."""
    return {name: value for name, value in fields.items() if value is not None}


def finished(entry: JobBody) -> bool:
    """Return whether a job will not change any more."""
    return entry.finished
