"""Models as ONNX files, out and in; the library that knows the format is an extra, and may not be there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from app.api.requests.model_files import ModelImport
from app.errors import FieldError, Invalid, NotInstalled
from app.models import import_fields
from app.models.opened import open_model
from app.models.predictors import Predictors
from app.settings import Settings
from app.store.records import ModelRecord
from engine.errors import UnsupportedGraphError
from engine.inputs.preprocessing import Preprocessing
from engine.model.model_file import Model

if TYPE_CHECKING:
    from engine.model.onnx_format.write import OnnxFile
    from engine.model.onnx_import.importing import Report

_FIRST_BYTES = frozenset({0x08, 0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42})
"""What the first byte may be of the message that a file is: the number of a field, with how it is encoded."""


class OnnxModel(NamedTuple):
    """A model that was read from an ONNX file."""

    model: Model
    report: Report
    assumed: tuple[str, ...]
    """What neither the file nor the caller says."""


def onnx_file(
    predictors: Predictors, record: ModelRecord, *, preprocessing_inside: bool
) -> tuple[OnnxFile, str]:
    """Return a model as an ONNX file, see `engine.model.onnx_format.write.export_model`, and its SHA-256.

    Raises:
        NotInstalled: this server has no library for the format.
        Damaged: the model's own file is missing or damaged.
        LimitError: it is larger than an ONNX file can be.
    """
    with _library("written"):
        from engine.model.onnx_format.write import export_model  # noqa: PLC0415 - it is not installed everywhere
    file = export_model(open_model(predictors, record).model, preprocessing_inside=preprocessing_inside)
    return file, file.sha256()


def may_be_onnx(head: bytes) -> bool:
    """Tell by its first bytes whether a file can be ONNX; a text file may begin in the same way."""
    return bool(head) and head[0] in _FIRST_BYTES


def read_onnx_model(
    path: Path, external: Path | None, said: ModelImport, filename: str, settings: Settings
) -> OnnxModel:
    """Read a model from an ONNX file. What the caller says of it goes before what the file says.

    Args:
        path: the file.
        external: a second file with tensors that the first only refers to.
        said: what the caller says.
        filename: what the file was called; the model is called so if the caller says nothing.
        settings: the limits.

    Raises:
        NotInstalled: this server has no library for the format.
        Invalid: a field of the call is wrong or does not fit; or the graph has nodes that cannot be computed here:
            all of them are listed.
        EngineError: the file is damaged, or too large.
    """
    with _library("read"):
        from engine.model.onnx_import.importing import import_onnx  # noqa: PLC0415 - it is not installed everywhere
    try:
        read = import_onnx(
            path,
            external=external,
            input_shape=said.input_shape,
            target=said.target,
            max_parameters=settings.max_parameters,
        )
    except UnsupportedGraphError as error:
        faults = [FieldError.at("file", str(each), error.hint) for each in error.lacking]
        raise Invalid.listing(faults, code="unsupported-graph") from None
    shape = read.architecture.input_shape
    assumed = [
        name for name in ("classes", "preprocessing") if getattr(said, name) is getattr(read, name) is None
    ]
    picture = import_fields.picture(said, shape, read.picture or {"fit": "stretch"})
    neutral = Preprocessing(mean=(0.0,) * shape[2], deviation=(1.0,) * shape[2])
    model = Model(
        read.architecture,
        import_fields.class_names(said, read.outputs, read.classes),
        import_fields.preprocessing(said, shape[2], read.preprocessing or neutral),
        read.loss,
        read.weights,
        metadata={
            "name": Path(filename).stem,
            "picture": picture.model_dump(mode="json"),
            "origin": {"format": "onnx"},
        },
        target=read.target,
    )
    return OnnxModel(model, read.report, tuple(assumed))


@contextmanager
def _library(done: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise NotInstalled(
            f"models are {done} as ONNX files by a library that this server was installed without, onnx; ask the "
            "operator to install it where the server runs, with pip install onnx, and to start the server again"
        ) from error
