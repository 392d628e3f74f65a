"""The calls of single layers, blocks, filters and augmentations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import quote

from app.api.augment import AugmentAnswer
from app.api.operations import OperationAnswer
from app.client.calls import Attachment, Call, Picture, content, is_picture, record, written
from app.client.resource import M, Resource, call


class Array(Protocol):
    """An array of NumPy, or of any library whose arrays give themselves as lists."""

    def tolist(self) -> Any:
        """Return the numbers as nested lists."""


Numbers = Sequence[Any] | Array
Given = Numbers | Picture
"""What an operation is applied to: numbers (H, W), (H, W, C) or (C), nested lists or an array, or a picture."""

_AS_FILE = "operations.file"


def _path(operation: str) -> str:
    return f"/v1/operations/{quote(operation, safe='')}"


def _body(given: Given | None, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Send numbers as JSON, and a picture in a form whose other fields are written as in JSON."""
    if given is None:
        return {"json": dict(fields)}
    if not is_picture(given):
        return {"json": {"input": given, **fields}}
    texts = {name: written(value) for name, value in fields.items()}
    return {"data": texts, "files": [Attachment.of("file", given)]}


class Operations(Resource[M]):
    """Single layers, blocks, filters and augmentations, applied to numbers or to a picture."""

    @call
    def run(self, operation: str, given: Given | None = None, /, **fields: Any) -> Call[OperationAnswer]:
        """Apply a layer or a block.

        Args:
            operation: `convolve`, or the type of a layer, as `catalog.layers()` lists them.
            given: numbers, or a picture: the path of a file, or a name and bytes. Without it `input`, or `inputs` of
                several, is among the fields.
            fields: those of the call: `layer` with the hyperparameters, `weights`, `statistics`, `trace`,
                `output_gradient`, and for pictures `channels` and `scale`.
        """
        body = _body(given, fields)
        return record(OperationAnswer, "POST", _path(operation), as_file=_AS_FILE, **body)

    @call
    def convolve(self, given: Given, kernel: str | Numbers, /, **fields: Any) -> Call[OperationAnswer]:
        """Slide a filter over numbers or a picture.

        Args:
            given: numbers, or a picture: the path of a file, or a name and bytes.
            kernel: a name, as `catalog.filters()` lists them, or numbers (f, f) or (f, f, C).
            fields: those of the call: `padding`, `stride`, `dilation`, `bias`, `activation`, `flip`, `trace`, and for
                pictures `channels` and `scale`.
        """
        body = _body(given, {"kernel": kernel, **fields})
        return record(OperationAnswer, "POST", _path("convolve"), as_file=_AS_FILE, **body)

    @call
    def augment(
        self,
        given: Given | None,
        augmentation: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        /,
        **fields: Any,
    ) -> Call[AugmentAnswer]:
        """Vary a picture as training does.

        Args:
            given: numbers from 0 to 255, or a picture: the path of a file, or a name and bytes. Without it `input` or
                `image` is among the fields.
            augmentation: such as `{"type": "rotation", "degrees": 10}`, or several in their order.
            fields: those of the call: `seed` and `count`, and for pictures `channels` and `scale`.
        """
        body = _body(given, {"augmentation": augmentation, **fields})
        return record(AugmentAnswer, "POST", _path("augment"), as_file=_AS_FILE, **body)

    @call
    def file(
        self,
        operation: str,
        given: Given | None = None,
        /,
        *,
        accept: str = "image/png",
        range_: str | None = None,
        **fields: Any,
    ) -> Call[bytes]:
        """Return what an operation puts out as a file.

        Args:
            operation: as for `run`, or `augment`.
            given: as for `run`.
            accept: `image/png` for the output as a picture, `image/svg+xml` for a figure of how it comes about, or
                `application/x-npz` for arrays.
            range_: how numbers become pixels: `auto`, `clip`, `signed` or `stretch`.
            fields: as for `run`.
        """
        params = {"range": range_}
        return content(_path(operation), accept, method="POST", params=params, **_body(given, fields))
