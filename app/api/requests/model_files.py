"""Bodies of requests that import model files."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from app.api.common import Line, Name
from app.api.pictures import Side
from app.api.requests.files import FileDocument
from engine.recipe.targets import Target
from engine.spec import Spec

EXAMPLE_MODEL = (
    "OAMAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJjb252c2VydmUiOiJ7XCJhcmNoaXRlY3R1cmVcIjp7XCJmb3JtYXRfdmVyc2lvblwi"
    "OjEsXCJpbnB1dF9zaGFwZVwiOlsxLDEsMV0sXCJsYXllcnNcIjpbe1wiaW5wdXRzXCI6bnVsbCxcIm5hbWVcIjpudWxsLFwidHJh"
    "aW5hYmxlXCI6dHJ1ZSxcInR5cGVcIjpcImZsYXR0ZW5cIn0se1wiYWN0aXZhdGlvblwiOm51bGwsXCJiaWFzXCI6dHJ1ZSxcImlu"
    "cHV0c1wiOm51bGwsXCJuYW1lXCI6bnVsbCxcInRyYWluYWJsZVwiOnRydWUsXCJ0eXBlXCI6XCJkZW5zZVwiLFwidW5pdHNcIjoy"
    "LFwid2VpZ2h0X2luaXRpYWxpemVyXCI6XCJoZV9ub3JtYWxcIn1dfSxcImNsYXNzZXNcIjpbXCJkYXJrXCIsXCJsaWdodFwiXSxc"
    "ImZvcm1hdF92ZXJzaW9uXCI6MSxcImtpbmRcIjpcIm1vZGVsXCIsXCJsb3NzXCI6e1wiY2xhc3Nfd2VpZ2h0c1wiOm51bGwsXCJs"
    "YWJlbF9zbW9vdGhpbmdcIjowLjAsXCJ0eXBlXCI6XCJzb2Z0bWF4X2Nyb3NzX2VudHJvcHlcIn0sXCJtZXRhZGF0YVwiOntcIm5h"
    "bWVcIjpcImRhcmsgb3IgbGlnaHRcIixcInBpY3R1cmVcIjp7XCJiYWNrZ3JvdW5kXCI6XCIjZmZmZmZmXCIsXCJmaXRcIjpcInN0"
    "cmV0Y2hcIixcImltYWdlX3NoYXBlXCI6WzEsMSwxXX19LFwicHJlcHJvY2Vzc2luZ1wiOntcImRldmlhdGlvblwiOlswLjVdLFwi"
    "bWVhblwiOlswLjVdfX0ifSwiZGVuc2VfMS9iaWFzIjp7ImR0eXBlIjoiRjMyIiwic2hhcGUiOlsyXSwiZGF0YV9vZmZzZXRzIjpb"
    "MCw4XX0sImRlbnNlXzEvd2VpZ2h0Ijp7ImR0eXBlIjoiRjMyIiwic2hhcGUiOlsxLDJdLCJkYXRhX29mZnNldHMiOls4LDE2XX19"
    "ICAgICAgIAAAAAAAAAAAAACAwAAAgEA="
)
"""A network that classifies one pixel as dark or light, as a model file in base64."""


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise ValueError(f"the name {twice!r} is there twice")
    return names


class ImportedPreprocessing(Spec):
    """What is done to a picture before the network sees it, as models show it."""

    mean: Annotated[tuple[float, ...], Field(min_length=1, max_length=3)]
    """Mean of each channel of the training pictures, 0 to 1."""
    deviation: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1, max_length=3)]
    """Standard deviation of each channel."""
    picture: dict[str, Any] | None = None
    """How a picture is fitted: `fit`, `resize`, `background`, `invert`; by default as for ImageNet."""


class ModelImport(FileDocument):
    """A model file and what to call the model; of files of other libraries also what they do not say."""

    name: Annotated[
        Name | None,
        Field(description="What to call the model; by default as its file says, or as the file is called."),
    ] = None
    external_data: str | None = None
    """With an ONNX file that refers to a second one for its tensors: that file, in base64."""
    preset: str | None = None
    """Of weights with the names of torchvision or timm: the preset whose layers they are of, such as `resnet-18`."""
    classes: (
        Annotated[tuple[Annotated[str, Line], ...], Field(min_length=1), AfterValidator(_distinct)] | None
    ) = None
    """With `preset` or ONNX: the names of the outputs, in their order; by default as the file says, or numbers."""
    input_shape: tuple[Side, Side, Literal[1, 3]] | None = None
    """With `preset` or ONNX: [height, width, channels] of the pictures; by default the preset's, or the graph's."""
    preprocessing: ImportedPreprocessing | None = None
    """With `preset` or ONNX: what is done to a picture; by default as torchvision does for ImageNet, or as the ONNX
    file says, or nothing: numbers from 0 to 1 of a picture that is stretched."""
    target: Target | None = None
    """With ONNX: what its output is, `class`, `labels` or `values`; by default as the file says, or labels where it
    ends with a sigmoid, else classes."""

    json_fields: ClassVar[frozenset[str]] = frozenset({"classes", "input_shape", "preprocessing"})
    beside: ClassVar[str | None] = "external_data"
