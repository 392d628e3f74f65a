"""How the pictures of a data set arrive: in a form, streamed to the disk, or in base64 within JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from app.api.requests.dataset_pictures import AdditionDocument, AdditionForm
from app.api.requests.datasets import DatasetCreate, DatasetDocument
from app.datasets.ingestion import SavedFile, Source
from app.datasets.readers import KIND, MAGIC
from app.datasets.readers.sniff import describe
from app.errors import Invalid, Place
from app.files.paths import UPLOADS
from app.jobs.accept.additions import MAX_FILES
from app.services import Services
from app.web.bodies.dataset_fields import FORM_FIELDS, read_addition_form, read_form
from app.web.bodies.files import decode_file
from app.web.bodies.multipart import FormRules, receive
from app.web.bodies.route import read_document
from app.web.bodies.sinks import DiskSink

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Received(Generic[T]):
    """What a request brought; who has it removes the files that it does not pass on."""

    files: tuple[SavedFile, ...]
    options: T
    json: bool = False
    """Whether all of it came as JSON."""

    def file(self, field: str) -> SavedFile | None:
        """Return the file of a field."""
        return next((file for file in self.files if file.field == field), None)

    def discard(self) -> None:
        """Remove the files."""
        for file in self.files:
            file.path.unlink(missing_ok=True)


async def receive_dataset_form(request: Request, services: Services) -> Received[DatasetCreate]:
    """Receive a form with `file`, perhaps `labels`, and the fields of `DatasetCreate`."""
    rules = FormRules(
        services.settings.max_upload_bytes,
        {"file": 1, "labels": 1},
        FORM_FIELDS,
        MAGIC,
        KIND,
        optional=frozenset({"labels"}),
        describe=describe,
    )
    return await receive_files(request, services, rules, read_form)


async def receive_dataset_json(request: Request, services: Services) -> Received[DatasetCreate]:
    """Receive the same as JSON."""
    document = await read_document(request, DatasetDocument)
    encoded = {"file": document.file} | ({"labels": document.labels} if document.labels else {})
    decoded = await run_in_threadpool(
        lambda: [(field, "", decode_file(text, field)) for field, text in encoded.items()]
    )
    for field, _, content in decoded:
        if not content.startswith(MAGIC):
            raise Invalid.at(field, f"it is no {KIND} but {describe(content)}", f"encode a {KIND} in base64")
    return Received(await save(decoded, services), document, json=True)


async def receive_addition_form(request: Request, services: Services) -> Received[AdditionForm]:
    """Receive a form with `files` and their `label`, or with an archive as `file`."""
    rules = FormRules(
        services.settings.max_upload_bytes,
        {"files": MAX_FILES, "file": 1},
        frozenset(AdditionForm.model_fields),
        optional=frozenset({"files", "file"}),
    )
    received = await receive_files(request, services, rules, read_addition_form)
    try:
        _check_addition(received)
    except BaseException:
        received.discard()
        raise
    return received


async def receive_addition_json(request: Request, services: Services) -> Received[AdditionForm]:
    """Receive the same as JSON."""
    document = await read_document(request, AdditionDocument)
    encoded: list[tuple[str, str, Place]]
    encoded = [("files", text, ("images", number)) for number, text in enumerate(document.images or ())]
    if document.file is not None:
        encoded.append(("file", document.file, "file"))
    decoded = await run_in_threadpool(
        lambda: [(field, "", decode_file(text, place)) for field, text, place in encoded]
    )
    form = AdditionForm(label=document.label, dry_run=document.dry_run, webhook=document.webhook)
    received = Received(await save(decoded, services), form, json=True)
    try:
        _check_addition(received)
    except BaseException:
        received.discard()
        raise
    return received


def _check_addition(received: Received[AdditionForm]) -> None:
    """Refuse what is neither pictures with a label nor an archive without one."""
    archive = received.file("file") is not None
    pictures = received.file("files") is not None
    label = received.options.label is not None
    problem = None
    if archive == pictures:
        detail = "both pictures and an archive came" if archive else "neither pictures nor an archive came"
        problem = (
            "files",
            detail,
            "send pictures of one label, or a zip archive with a folder for each class",
        )
    elif pictures and not label:
        problem = ("label", "it is missing", "name the class that the pictures show")
    elif archive and label:
        problem = ("label", "an archive holds its own labels", "leave it out")
    if problem:
        name, detail, hint = problem
        place = "images" if received.json and name == "files" else name
        raise Invalid.at(place, detail, hint, parameter=not received.json)


async def receive_files(
    request: Request, services: Services, rules: FormRules, read: Callable[[dict[str, str]], T]
) -> Received[T]:
    """Receive a form to the disk and make sense of its text fields."""
    with services.uploads.one():
        form = await receive(request, rules, partial(DiskSink, folder(services)))
    files = tuple(
        SavedFile(
            file.field, file.content, Source(filename=file.filename, bytes=file.size, sha256=file.sha256)
        )
        for file in form.files
    )
    try:
        return Received(files, read(form.fields))
    except BaseException:
        Received(files, None).discard()
        raise


async def save(contents: Sequence[tuple[str, str, bytes]], services: Services) -> tuple[SavedFile, ...]:
    """Write the (field, file name, content) of files to the disk."""

    def write() -> tuple[SavedFile, ...]:
        files: list[SavedFile] = []
        try:
            for field, filename, content in contents:
                path = DiskSink.save(folder(services), content)
                checksum = hashlib.sha256(content).hexdigest()
                source = Source(filename=filename, bytes=len(content), sha256=checksum)
                files.append(SavedFile(field, path, source))
        except BaseException:
            Received(tuple(files), None).discard()
            raise
        return tuple(files)

    return await run_in_threadpool(write)


def folder(services: Services) -> Path:
    """Return where uploads go."""
    return services.artifacts.here(UPLOADS)
