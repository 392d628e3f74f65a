"""Model files: how one is imported."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from pydantic import ValidationError

from app.api.models import ImportReport
from app.api.pictures import PictureSpec
from app.api.requests.model_files import ModelImport
from app.errors import Invalid
from app.files import paths
from app.files.artifacts import Artifacts, Written
from app.files.unnamed import unless_named
from app.ids import MODEL, new_id
from app.models.foreign import read_foreign_model
from app.models.onnx_files import may_be_onnx, read_onnx_model
from app.settings import Settings
from app.store import Store
from app.store.records import AnswerRecord, Json, ModelRecord
from app.text import MAX_DEPTH, MAX_MEMBERS, document_fault, is_name
from app.text import MAX_NAME as MAX_CLASS_NAME
from engine.errors import EngineError
from engine.model.model_file import Model, model_bytes, read_description, read_model

MAX_HEADER_BYTES = 16 * 1024 * 1024
"""The longest header that is parsed; that of the largest network there is takes far less."""
MAX_ARRAYS = 100_000
"""With the records of the description: the largest network has 10,000 nodes, and four arrays for each."""
MAX_NAME = 100
MAX_CLASS_TEXT = 1_000_000
"""Characters of all class names: each list of models holds them."""
MAX_METADATA = 20_000
"""Values of the metadata of a file; all of them are in each answer about its model."""
MAX_METADATA_TEXT = 10_000
MAX_FIGURES = 200
MAX_UNUSED = 1000
"""Arrays without a use that an answer names."""
OWN_FORMAT = "convserve"
_CODE = "unusable-model-file"
PICKLED = (b"PK\x03\x04", b"\x80")
"""How files of `torch.save` begin: a zip archive with a pickle in it, or a pickle."""
_CONVERT = """turn it into safetensors where PyTorch is:
import torch; from safetensors.torch import save_file
save_file(torch.load("model.pth", weights_only=True, map_location="cpu"), "model.safetensors")"""


class ModelSource(NamedTuple):
    """What was sent to be imported."""

    path: Path
    said: ModelImport
    """What to call the model, by default as the file says; and what the file does not say."""
    filename: str = ""
    external: Path | None = None
    """A second file, with tensors of an ONNX file."""


def import_model(
    source: ModelSource,
    store: Store,
    artifacts: Artifacts,
    settings: Settings,
    answer: Callable[[ModelRecord, ImportReport], AnswerRecord | None] = lambda stored, report: None,
    go_on: Callable[[], None] = lambda: None,
) -> tuple[ModelRecord, ImportReport]:
    """Check a model file and store a copy of it, byte for byte, as the next version of its name.

    What comes from another library is stored as a model file of ours.

    Args:
        source: the file.
        store: where its record goes.
        artifacts: where its file goes.
        settings: the limits.
        answer: makes the answer to the call that imports it, stored in the same moment.
        go_on: called while the file is read and written, and may raise.

    Raises:
        Invalid: it is no model file, is damaged, contradicts itself, or is larger than this server takes.
    """
    go_on()
    model, report = read_source(source, settings)
    go_on()
    identifier = new_id(MODEL)

    def copy(target: IO[bytes]) -> None:
        with source.path.open("rb") as file:
            while piece := file.read(1 << 20):
                go_on()
                target.write(piece)

    content = copy if report.format == OWN_FORMAT else model_bytes(model)
    record = model_record(
        identifier, source.said.name, model, artifacts.write(paths.model(identifier), content)
    )
    with unless_named(lambda: artifacts.delete(record.path)):
        return store.models.create(record, lambda stored: answer(stored, report)), report


def model_record(identifier: str, name: str | None, model: Model, written: Written) -> ModelRecord:
    """Return what is stored about a model whose file is written.

    Raises:
        Invalid: the model does not say how pictures are made to fit it.
    """
    return ModelRecord(
        id=identifier,
        name=name or _own_name(model.metadata),
        path=written.name,
        sha256=written.sha256,
        bytes=written.bytes,
        classes=list(model.classes),
        input_shape=list(model.architecture.input_shape),
        preprocessing={
            "picture": _picture(model).model_dump(mode="json"),
            **model.preprocessing.model_dump(mode="json"),
        },
        architecture=model.architecture.document(),
        metrics=_figures(model.metadata.get("metrics")),
        target=model.target,
    )


def read_source(source: ModelSource, settings: Settings) -> tuple[Model, ImportReport]:
    """Read and check a model file of any format that is taken; return the model, and what there is to say about it.

    Raises:
        Invalid: as `import_model` does.
    """
    said = source.said
    try:
        if said.preset is not None:
            if _is_onnx(source.path):
                detail = "it belongs to weights of torchvision or timm, and this is an ONNX file"
                raise Invalid.at("preset", detail, "leave it out")
            _check_header(source.path)
            _check_fields(source)
            model, unused = read_foreign_model(source.path, said, settings)
            report = _report(str(model.metadata["origin"]["format"]), model, unused)
        elif _is_onnx(source.path):
            model, found, assumed = read_onnx_model(
                source.path, source.external, said, source.filename, settings
            )
            _check_description({"classes": list(model.classes), "metadata": model.metadata})
            report = _report("onnx", model, found.unused, found.folded, assumed)
        else:
            _check_header(source.path)
            _check_fields(source)
            _check_description(
                read_description(source.path, "model", settings.max_upload_bytes, 2 * MAX_MEMBERS)
            )
            model = read_model(source.path, settings.max_upload_bytes, settings.max_parameters)
            report = _report(OWN_FORMAT, model)
    except EngineError as error:
        raise _bad(error.detail + (f"; {error.hint}" if error.hint else "")) from error
    except ValidationError as error:
        raise _bad(f"its description cannot be read: {_first_fault(error)}") from error
    except (TypeError, ValueError, RecursionError) as error:
        raise _bad(f"its description cannot be read: {error}") from error
    for name, array in model.weights.items():
        if not np.isfinite(array).all():
            raise _bad(f"the array {name!r} holds numbers that are not finite")
    _picture(model)
    return model, report


def _first_fault(error: ValidationError) -> str:
    """Say what pydantic has found first, and where, in a line."""
    fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return f"{'.'.join(map(str, fault['loc']))}: {fault['msg'][:1].lower()}{fault['msg'][1:]}"


def _report(
    library: str,
    model: Model,
    unused: Sequence[str] = (),
    folded: Sequence[str] = (),
    assumed: Sequence[str] = (),
) -> ImportReport:
    return ImportReport(
        format=library,
        mapped=len(model.weights),
        folded=list(folded[:MAX_UNUSED]),
        assumed=list(assumed),
        unused=list(unused[:MAX_UNUSED]),
        missing=[],
    )


def _is_onnx(path: Path) -> bool:
    """Tell whether a file is to be read as ONNX: it begins as such files do, and not as ours with a JSON header."""
    with path.open("rb") as file:
        head = file.read(9)
    return may_be_onnx(head) and head[8:] != b"{"


def _check_fields(source: ModelSource) -> None:
    """Refuse what is said of a file that is not read as ONNX, and does not apply to it.

    Raises:
        Invalid: the call has a field of ONNX files alone, or without a preset one that needs it.
    """
    said = source.said
    of_onnx = {"external_data": source.external, "target": said.target}
    name = next((name for name, value in of_onnx.items() if value is not None), None)
    if name is not None:
        why = "this is none" if said.preset is None else "weights of a preset are in none"
        raise Invalid.at(name, f"it belongs to an ONNX file, and {why}", "leave it out")
    given = sorted(said.model_fields_set & said.json_fields)
    if given and said.preset is None:
        names = " and ".join(given)
        raise Invalid.at("preset", f"it is needed with {names}", "say which network the weights are of")


def _check_header(path: Path) -> None:
    """Look at the length that the file claims for its header, before anything parses that."""
    with path.open("rb") as file:
        first = file.read(8)
    if first.startswith(PICKLED) and not 0 < int.from_bytes(first, "little") <= MAX_HEADER_BYTES:
        raise Invalid.at(
            "file", "it is a pickle of PyTorch, which is never opened here", _CONVERT, code=_CODE
        )
    length = int.from_bytes(first, "little")
    size = path.stat().st_size
    if size < 8 or length > size - 8:
        raise _bad("it is neither a safetensors nor an ONNX file, or is cut short")
    if length > MAX_HEADER_BYTES:
        raise _bad(f"its header has {length:,} bytes; at most {MAX_HEADER_BYTES:,} are read")
    with path.open("rb") as file:
        file.seek(8)
        braces = file.read(length).count(b"{")
    if braces > MAX_ARRAYS:
        raise _bad(f"its header describes more than {MAX_ARRAYS:,} arrays and layers")


def _check_description(description: Json) -> None:
    """Hold what a file says against the rules of request bodies: it goes into answers like what they say.

    Raises:
        Invalid: it breaks them.
    """
    classes = description.get("classes")
    if isinstance(classes, list):
        bad = next((name for name in classes if not (isinstance(name, str) and is_name(name))), None)
        if bad is not None:
            raise _bad(
                f"the class name {ascii(bad)[:60]} is not one of 1 to {MAX_CLASS_NAME} printable characters"
            )
        if sum(map(len, classes)) > MAX_CLASS_TEXT:
            raise _bad(f"the names of its classes have more than {MAX_CLASS_TEXT:,} characters")
        if len(set(classes)) != len(classes):
            raise _bad("two of its classes have the same name")
    # Its architecture was one level less deep in the body that it may have come in.
    fault = document_fault(description, depth=MAX_DEPTH + 1)
    if fault is None:
        metadata = description.get("metadata")
        fault = document_fault(metadata, members=MAX_METADATA, text=MAX_METADATA_TEXT)
    if fault is not None:
        raise _bad(f"its description cannot be stored: {fault}")


def _picture(model: Model) -> PictureSpec:
    """Return how pictures are made to fit the model; a file that does not say cannot be used here."""
    try:
        picture = PictureSpec.model_validate(model.metadata.get("picture"))
    except ValidationError as error:
        first = error.errors()[0]
        where = "/".join(("picture", *map(str, first["loc"])))
        raise _bad(
            f"its description does not say how pictures become arrays: {where}: {first['msg']}"
        ) from None
    if picture.image_shape != tuple(model.architecture.input_shape):
        raise _bad(
            f"its pictures are {list(picture.image_shape)} but its network takes {list(model.architecture.input_shape)}"
        )
    return picture


def _own_name(metadata: Json) -> str:
    name = str(metadata.get("name") or "")
    return (
        "".join(character for character in name if character.isprintable()).strip()[:MAX_NAME].strip()
        or "imported"
    )


def _figures(metrics: object) -> Json:
    """Return the numbers among the metrics that a file claims; nothing else is believed to be one."""
    if not isinstance(metrics, dict):
        return {}
    figures = {
        str(key): value
        for key, value in metrics.items()
        if is_name(str(key))
        and (
            value is None
            or (isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value))
        )
    }
    return dict(itertools.islice(figures.items(), MAX_FIGURES))


def _bad(detail: str) -> Invalid:
    return Invalid(f"this model file cannot be imported: {detail}", code=_CODE)
