"""Models as ONNX files; the library that knows the format is an extra, and may not be there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.errors import NotInstalled
from app.models.opened import open_model
from app.models.predictors import Predictors
from app.store.records import ModelRecord

if TYPE_CHECKING:
    from engine.model.onnx_format.write import OnnxFile


def onnx_file(
    predictors: Predictors, record: ModelRecord, *, preprocessing_inside: bool
) -> tuple[OnnxFile, str]:
    """Return a model as an ONNX file, see `engine.model.onnx_format.write.export_model`, and its SHA-256.

    Raises:
        NotInstalled: this server has no library for the format.
        ModelFileError: the model's own file is damaged.
        LimitError: it is larger than an ONNX file can be.
    """
    try:
        from engine.model.onnx_format.write import export_model  # noqa: PLC0415 - it is not installed everywhere
    except ImportError as error:
        raise NotInstalled(
            "models are written as ONNX files by a library that this server was installed without, onnx; ask the "
            "operator to install it where the server runs, with pip install onnx, and to start the server again"
        ) from error
    file = export_model(open_model(predictors, record).model, preprocessing_inside=preprocessing_inside)
    return file, file.sha256()
