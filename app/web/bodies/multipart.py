"""The one receiver of multipart uploads: parts are checked and stored while they arrive.

Nothing is held in memory that has another place to go, and a body that is too large, broken or of the wrong
kind is refused at the first byte that shows it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from app.errors import Invalid, Malformed, TooLarge, Unsupported
from app.web.bodies import idempotency
from app.web.bodies.limits import ignore, off_the_loop
from app.web.bodies.sinks import Sink

_HEAD_BYTES = 512
"""Of a file, for saying what it is where it is not what it should be."""
MAX_FIELD_BYTES = 64 * 1024
_MAX_HEADER_BYTES = 8 * 1024
_FLUSH_BYTES = 1 << 20
_MAX_FILENAME = 255

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FormRules:
    """What a form may hold.

    Attributes:
        max_bytes: the most bytes of the whole body.
        files: the names of file parts and how many of each may come.
        optional: those of which none need come; of the others at least one must.
        fields: the names of text fields, each at most once.
        magic: the first bytes that files may have, any when empty.
        kind: the words for what such a file is.
        describe: says in words what a file is that begins so; for those that are refused.
        elsewhere: what to do with parts that belong somewhere else, by their names.
    """

    max_bytes: int
    files: Mapping[str, int]
    fields: frozenset[str] = frozenset()
    magic: tuple[bytes, ...] = ()
    kind: str = "file"
    optional: frozenset[str] = frozenset()
    describe: Callable[[bytes], str] | None = None
    elsewhere: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReceivedFile(Generic[T]):
    """One file part.

    Attributes:
        field: the name of the part.
        filename: the name that the client gave, without folders; for people only, never for paths.
        size: its size in bytes.
        sha256: its checksum in hexadecimal.
        content: what its sink made of it.
    """

    field: str
    filename: str
    size: int
    sha256: str
    content: T


@dataclass(frozen=True, slots=True)
class Form(Generic[T]):
    """A received form: its text fields and its files in the order of arrival."""

    fields: dict[str, str]
    files: list[ReceivedFile[T]]

    def summary(self) -> dict[str, Any]:
        """Return what distinguishes it from other forms, JSON ready."""
        files = [[file.field, file.filename, file.sha256] for file in self.files]
        return {"fields": self.fields, "files": files}


async def receive(
    request: Request,
    rules: FormRules,
    new_sink: Callable[[], Sink[T]],
    arrived: Callable[[int], None] = ignore,
) -> Form[T]:
    """Receive a multipart/form-data body as it streams in.

    When this returns, the caller owns what the sinks made; when it raises, nothing is left of it.

    Args:
        request: has the body.
        rules: what may be in it.
        new_sink: makes what a file of it is written to.
        arrived: see `read_body`.

    Raises:
        Unsupported: the body has another media type.
        Malformed: it is no readable multipart body, or ends too early.
        TooLarge: more bytes or files than the rules allow.
        Invalid: an unknown, missing, repeated or misplaced part, or a file of the wrong kind.
        OSError: it cannot be stored.
        Answered: it came before, with the same idempotency key.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > rules.max_bytes:
        raise _too_large(rules)
    parameters: Iterable[str] = getattr(request, "query_names", ())
    hints = {name: f"it is a query parameter: add ?{name}=... to the address" for name in parameters}
    rules = replace(rules, elsewhere={**hints, **rules.elsewhere})
    collector = _Collector(rules, new_sink)
    parser = _parser(request, rules, collector)
    received = 0
    try:
        async for chunk in request.stream():
            received += len(chunk)
            if received > rules.max_bytes:
                raise _too_large(rules)
            arrived(len(chunk))
            parser.write(chunk)
            if collector.waiting >= _FLUSH_BYTES:
                await run_in_threadpool(collector.flush)
        if not collector.ended:
            raise Malformed(
                "the body ends before the boundary that closes a multipart body: it was cut short"
            )
        if collector.in_memory:
            form = await off_the_loop(received, collector.finish)
        else:
            form = await run_in_threadpool(collector.finish)
        idempotency.settle(request, form.summary())
        return form
    except BaseException as error:
        collector.discard()
        if isinstance(error, FormParserError):
            raise Malformed(f"the body is no valid multipart/form-data: {error}") from error
        if isinstance(error, ClientDisconnect):
            raise Malformed("the client went away before the end of its upload") from error
        raise


def _too_large(rules: FormRules) -> TooLarge:
    return TooLarge(f"the upload is larger than {rules.max_bytes} bytes, the most that this call takes")


def _parser(request: Request, rules: FormRules, collector: _Collector[T]) -> MultipartParser:
    received = request.headers.get("content-type", "")
    kind, options = parse_options_header(received)
    if kind != b"multipart/form-data":
        part = next(iter(rules.files))
        hint = f"send a form with the file part {part!r}, as `curl -F {part}=@name` does, or JSON"
        detail = f"the body must be multipart/form-data, not {received}"
        raise Unsupported.at(
            "Content-Type", detail if received else "this header is missing", hint, parameter=True
        )
    if not options.get(b"boundary"):
        raise Malformed(
            "the header Content-Type names no boundary; let your HTTP client set this header itself"
        )
    try:
        return MultipartParser(
            options[b"boundary"],
            {
                "on_part_begin": collector.begin_part,
                "on_header_field": collector.header_name,
                "on_header_value": collector.header_value,
                "on_header_end": collector.end_header,
                "on_headers_finished": collector.end_headers,
                "on_part_data": collector.data,
                "on_part_end": collector.end_part,
                "on_end": collector.end,
            },
        )
    except FormParserError as error:
        raise Malformed(f"the header Content-Type has an unusable boundary: {error}") from error


@dataclass(slots=True)
class _File(Generic[T]):
    name: str
    filename: str
    sink: Sink[T]
    head: bytearray = field(default_factory=bytearray)
    size: int = 0
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)


class _Collector(Generic[T]):
    """Turns the parser's callbacks into fields and files; bytes of files wait here for `flush`."""

    def __init__(self, rules: FormRules, new_sink: Callable[[], Sink[T]]) -> None:
        self.ended = False
        self.waiting = 0
        self._rules = rules
        self._new_sink = new_sink
        self._longest_magic = max(map(len, rules.magic), default=0)
        self._header = (bytearray(), bytearray())
        self._header_bytes = 0
        self._disposition = ""
        self._name = ""
        self._file: _File[T] | None = None
        self._fields: dict[str, bytearray] = {}
        self._files: list[_File[T]] = []
        self._counts: Counter[str] = Counter()
        self._queue: list[tuple[_File[T], bytes]] = []

    @property
    def in_memory(self) -> bool:
        """Whether no file is written anywhere else."""
        return all(file.sink.in_memory for file in self._files)

    # Callbacks of the parser.

    def begin_part(self) -> None:
        self._header_bytes = 0
        self._disposition = ""
        self._file = None

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._extend_header(0, data[start:end])

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._extend_header(1, data[start:end])

    def _extend_header(self, which: int, data: bytes) -> None:
        self._header_bytes += len(data)
        if self._header_bytes > _MAX_HEADER_BYTES:
            raise TooLarge(f"a part of the body has more than {_MAX_HEADER_BYTES} bytes of headers")
        self._header[which].extend(data)

    def end_header(self) -> None:
        name, value = self._header
        if name.lower() == b"content-disposition":
            self._disposition = value.decode("latin-1")
        self._header = (bytearray(), bytearray())

    def end_headers(self) -> None:
        kind, options = parse_options_header(self._disposition)
        if kind != b"form-data" or b"name" not in options:
            raise Malformed('a part of the body has no header `Content-Disposition: form-data; name="..."`')
        self._name = options[b"name"].decode(errors="replace")
        if self._name in self._rules.files:
            if b"filename" not in options:
                raise Invalid.at(
                    self._name,
                    "it came as text, not as a file",
                    f"give the part a filename, as `curl -F {self._name}=@name` does",
                    parameter=True,
                )
            self._begin_file(options[b"filename"].decode(errors="replace"))
        elif self._name in self._rules.fields:
            if b"filename" in options:
                raise Invalid.at(
                    self._name,
                    "it came as a file, not as text",
                    "leave out the part's filename",
                    parameter=True,
                )
            if self._name in self._fields:
                raise Invalid.at(self._name, "it is given twice", "send it once", parameter=True)
            self._fields[self._name] = bytearray()
        else:
            known = ", ".join([*self._rules.files, *sorted(self._rules.fields)])
            raise Invalid.at(
                self._name[:80],
                f"this form has no part {self._name[:80]!r}",
                self._rules.elsewhere.get(self._name, f"its parts are {known}"),
                parameter=True,
            )

    def data(self, data: bytes, start: int, end: int) -> None:
        piece = data[start:end]
        if self._file is None:
            value = self._fields[self._name]
            value += piece
            if len(value) > MAX_FIELD_BYTES:
                raise TooLarge(f"the form field {self._name!r} is longer than {MAX_FIELD_BYTES} bytes")
            return
        longest = self._longest_magic
        if len(self._file.head) < longest:
            self._file.head += piece[:_HEAD_BYTES]
            if len(self._file.head) >= longest:
                self._check_magic(self._file)
        self._file.size += len(piece)
        self._queue.append((self._file, piece))
        self.waiting += len(piece)

    def end_part(self) -> None:
        if self._file is not None:
            self._check_magic(self._file)

    def end(self) -> None:
        self.ended = True

    # Everything below runs in a thread.

    def flush(self) -> None:
        """Pass on what has arrived."""
        for file, piece in self._queue:
            file.digest.update(piece)
            file.sink.write(piece)
        self._queue.clear()
        self.waiting = 0

    def finish(self) -> Form[T]:
        """Close all files and return the form."""
        self.flush()
        for name in self._rules.files:
            if name not in self._rules.optional and not self._counts[name]:
                raise Invalid.at(
                    name,
                    "this file part is required",
                    f"add it, as `curl -F {name}=@name` does",
                    parameter=True,
                )
        fields = {name: _text(name, value) for name, value in self._fields.items()}
        files = [
            ReceivedFile(file.name, file.filename, file.size, file.digest.hexdigest(), file.sink.finish())
            for file in self._files
        ]
        return Form(fields, files)

    def discard(self) -> None:
        """Leave nothing behind."""
        for file in self._files:
            file.sink.discard()

    def _begin_file(self, filename: str) -> None:
        most = self._rules.files[self._name]
        self._counts[self._name] += 1
        if self._counts[self._name] > most:
            raise TooLarge(
                f"more than {most} file part{'s' if most > 1 else ''} {self._name!r}, the most that this call takes",
                code="too-many-files",
            )
        shown = "".join(character for character in filename if character.isprintable())
        self._file = _File(
            self._name, shown.replace("\\", "/").rpartition("/")[2][:_MAX_FILENAME], self._new_sink()
        )
        self._files.append(self._file)

    def _check_magic(self, file: _File[T]) -> None:
        if self._rules.magic and not bytes(file.head).startswith(self._rules.magic):
            what = "it is empty" if not file.head else f"it is no {self._rules.kind}"
            if file.head and self._rules.describe is not None:
                what += f" but {self._rules.describe(bytes(file.head))}"
            raise Invalid.at(file.name, what, f"send a {self._rules.kind}", parameter=True)


def _text(name: str, value: bytearray) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Invalid.at(name, "it is not UTF-8", "send text as UTF-8", parameter=True) from None
