"""One file as the body of a request: as a part of a form, in base64 in JSON, or as the body itself.

A second one may come beside it, where the document has a field for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from app.api.requests.files import FileDocument
from app.errors import DomainError, FieldError, Invalid, Malformed, Place, TooLarge, Unsupported
from app.files.encoded import HINT, decode_base64
from app.serving.room import Uploads
from app.web.bodies import idempotency
from app.web.bodies.json import parse
from app.web.bodies.multipart import FormRules, receive
from app.web.bodies.route import is_json, media_type, read_document
from app.web.bodies.sinks import DiskSink
from app.web.bodies.validation import invalid

_CHUNK = 1 << 20


D = TypeVar("D", bound=FileDocument)


@dataclass(frozen=True, slots=True)
class FileBody(Generic[D]):
    """A file that has arrived, and lies on the disk until its receiver removes it.

    Attributes:
        path: where it is, under a random name.
        filename: the name that the client gave; empty when it gave none.
        document: the other fields of the call; its `file` is empty.
        json: whether all of it came as JSON.
        beside: where a second file is that came with it.
    """

    path: Path
    filename: str
    document: D
    json: bool = False
    beside: Path | None = None

    def discard(self) -> None:
        """Remove what has arrived."""
        for path in filter(None, (self.path, self.beside)):
            path.unlink(missing_ok=True)


@contextmanager
def named_as_sent(*, json: bool) -> Iterator[None]:
    """Let errors name fields as they were sent: by pointers into a JSON body, or as the parts of a form."""
    try:
        yield
    except DomainError as error:
        if json:
            raise
        raise error.with_parameters() from None


async def receive_file(
    request: Request, folder: Path, rules: FormRules, kind: type[D], raw: Callable[[], D] | None = None
) -> FileBody[D]:
    """Receive a body that is JSON, a form with one part `file` or, if `raw` is given, the file itself.

    Args:
        request: with the body.
        folder: where the file goes.
        rules: what a form may hold; the limit of bytes holds for all forms but JSON, which has its own.
        kind: the document that a JSON body is, and that the text fields of a form make.
        raw: makes the document that belongs to a raw body.

    Raises:
        Malformed, TooLarge, Unsupported, Invalid, Answered: as `app.web.bodies.multipart.receive` does.
        Unavailable: too many other uploads are being received.
    """
    received = media_type(request)
    uploads: Uploads = request.app.state.services.uploads
    if is_json(received):
        return await run_in_threadpool(_decoded, await read_document(request, kind), folder)
    if received == "multipart/form-data":
        with uploads.one():
            form = await receive(request, rules, lambda: DiskSink(folder))
        files = {file.field: file for file in form.files}
        try:
            document = _read_fields(kind, form.fields)
        except BaseException:
            for file in form.files:
                file.content.unlink(missing_ok=True)
            raise
        beside = files.get(kind.beside or "")
        return FileBody(
            files["file"].content,
            files["file"].filename,
            document,
            beside=None if beside is None else beside.content,
        )
    if raw is not None and received == "application/octet-stream":
        document = raw()
        with uploads.one():
            return FileBody(await _receive_raw(request, folder, rules.max_bytes), "", document)
    known = ["multipart/form-data", *(["application/octet-stream"] if raw else []), "application/json"]
    detail = f"the body cannot be {received}" if received else "this header is missing"
    hint = f"send {', '.join(known[:-1])} or {known[-1]}"
    raise Unsupported.at("Content-Type", detail, hint, parameter=True)


def _decoded(document: D, folder: Path) -> FileBody[D]:
    names = [name for name in ("file", document.beside) if name and getattr(document, name) is not None]
    contents = {name: decode_file(getattr(document, name), name) for name in names}
    emptied = document.model_copy(update=dict.fromkeys(names, ""))
    path = DiskSink.save(folder, contents["file"])
    try:
        beside = next((DiskSink.save(folder, contents[name]) for name in names[1:]), None)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return FileBody(path, "", emptied, json=True, beside=beside)


async def _receive_raw(request: Request, folder: Path, limit: int) -> Path:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise _too_large(limit)
    sink = DiskSink(folder)
    digest = hashlib.sha256()
    waiting, size = bytearray(), 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            waiting += chunk
            if len(waiting) >= _CHUNK:
                await run_in_threadpool(_take, sink, digest, bytes(waiting))
                waiting.clear()
        await run_in_threadpool(_take, sink, digest, bytes(waiting))
        path = await run_in_threadpool(sink.finish)
        idempotency.settle(request, {"sha256": digest.hexdigest()})
        return path
    except BaseException as error:
        sink.discard()
        if isinstance(error, ClientDisconnect):
            raise Malformed("the client went away before the end of its upload") from error
        raise


def _take(sink: DiskSink, digest: hashlib._Hash, data: bytes) -> None:
    digest.update(data)
    sink.write(data)


def _read_fields(kind: type[D], fields: dict[str, str]) -> D:
    document: dict[str, Any] = {"file": "", **{name: text for name, text in fields.items() if text.strip()}}
    for name in kind.json_fields & document.keys():
        try:
            document[name] = parse(document[name].encode(), called="this")
        except DomainError as error:
            raise Invalid.at(name, error.detail, "write it as JSON", parameter=True) from None
    try:
        return kind.model_validate(document) if kind.json_fields else kind.model_validate_strings(document)
    except ValidationError as error:
        found = invalid(error.errors(include_url=False), document, kind, body=False)
        faults = [FieldError(fault.detail, parameter=fault.place, hint=fault.hint) for fault in found.errors]
        raise Invalid.listing(faults) from None


def decode_file(text: str, place: Place) -> bytes:
    """Return the bytes of a file that a JSON body holds as text.

    Raises:
        Invalid: it is no base64.
    """
    try:
        return decode_base64(text)
    except ValueError as error:
        raise Invalid.at(place, f"this is no base64: {error}", HINT) from None


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the request body is larger than {limit} bytes, the most that this call takes")
