"""Where a graph begins: the form of its input, and what it says in its metadata of pictures and classes."""

from __future__ import annotations

import json
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import FailFast, TypeAdapter, ValidationError

from engine.arrays import Shape
from engine.errors import ModelFileError
from engine.inputs.preprocessing import Preprocessing
from engine.model.model_file import few
from engine.model.onnx_format.records import Graph, GraphNode, Size, Tensor
from engine.model.onnx_import.values.layout import Layout, channels_first, channels_last
from engine.recipe.targets import Target

MAX_SIDE = 16384
MAX_METADATA = 4 * 2**20
"""Characters of a file's metadata."""
MAX_MEMBERS = 200_000
"""Values in them."""
OURS = "convserve"
"""Who wrote a file of ours."""
_PASSING = ("Identity", "Cast", "Add", "Sub", "Mul", "Div", "Dropout")
"""Operators that tell nothing of what the axes of their input are."""
_CHANNELS_FIRST = (
    "Conv",
    "ConvTranspose",
    "MaxPool",
    "AveragePool",
    "GlobalMaxPool",
    "GlobalAveragePool",
    "BatchNormalization",
    "InstanceNormalization",
    "GroupNormalization",
    "LRN",
    "PRelu",
    "Resize",
    "Upsample",
)
"""Operators whose input is (N, C, H, W)."""


class Border(NamedTuple):
    """How the input of a graph is seen."""

    start: str
    """The tensor that the network reads."""
    shape: Shape
    """Of our input: (height, width, channels)."""
    layout: Layout
    batch: int | None
    """How large the file's batches are; None where it leaves that open."""


class Said(NamedTuple):
    """What the metadata of a file of ours says."""

    classes: tuple[str, ...] | None
    preprocessing: Preprocessing | None
    target: Target | None
    inside: bool
    """Whether the first nodes of the graph prepare pictures."""
    picture: dict[str, Any] | None
    """How pictures are brought to the network's input."""


def begin(graph: Graph, input_shape: tuple[int, int, int] | None) -> Border:
    """Find the graph's one input and its axes: (N, C, H, W), (N, H, W, C), (N, C, W) or (N, K).

    Raises:
        ModelFileError: there are several, or sizes are open and not given, or differ from those that are given.
    """
    if len(graph.inputs) != 1:
        raise ModelFileError(
            f"the graph has {len(graph.inputs)} inputs: {few({each.name for each in graph.inputs})}; "
            "a model here has one",
            hint="export the model with pictures as its one input, and with its weights stored",
        )
    found = graph.inputs[0]
    if found.shape is None or not 2 <= len(found.shape) <= 4:
        raise ModelFileError(
            f"the input {found.name!r} has the shape {_written(found.shape)}; pictures are [N, C, H, W] or [N, H, W, C]"
        )
    inside = _inside(graph)
    if inside is not None:
        return _border(graph, inside, found.shape, input_shape, last=True)._replace(
            layout=channels_first(_shape(found.shape, input_shape, last=True))
        )
    if found.dtype is not None and found.dtype.kind != "f" and not takes_bytes(graph):
        raise ModelFileError(
            f"the input {found.name!r} is {found.dtype}; pictures are real numbers or bytes (uint8)",
            hint="export the model without what makes real numbers of others, and give its preprocessing beside it",
        )
    last = len(found.shape) == 4 and _channels_are_last(graph, found.name, found.shape)
    return _border(graph, found.name, found.shape, input_shape, last=last)


def _border(
    graph: Graph, start: str, sizes: tuple[Size, ...], given: tuple[int, int, int] | None, *, last: bool
) -> Border:
    batch = sizes[0] if isinstance(sizes[0], int) and sizes[0] > 0 else None
    shape = _shape(sizes, given, last=last)
    layout = channels_last(shape) if last else channels_first(shape)
    if len(sizes) < 4:  # (N, C, W) is a map of one row, (N, K) one of one pixel
        layout = Layout(layout.dims[:2] + layout.dims[4 - (len(sizes) - 2) :], layout.place)
    return Border(start, shape, layout, batch)


def _shape(sizes: tuple[Size, ...], given: tuple[int, int, int] | None, *, last: bool) -> Shape:
    """Return (height, width, channels); what the file leaves open is what was given."""
    rest = sizes[1:]
    said = rest if last else (*(1,) * (3 - len(rest)), *rest[1:], rest[0])
    shape = []
    for number, (size, wanted) in enumerate(zip(said, given or (None, None, None), strict=True)):
        fixed = size if isinstance(size, int) and size > 0 else wanted
        if fixed is None:
            raise ModelFileError(
                f"the graph leaves the {('height', 'width', 'channels')[number]} of its input open",
                hint="say it in `input_shape`: [height, width, channels]",
            )
        if wanted not in (None, fixed):
            raise ModelFileError(
                f"the input of the graph is {_written(sizes)}, which is not the `input_shape` {list(given or ())}"
            )
        if not 1 <= fixed <= MAX_SIDE:
            raise ModelFileError(
                f"the input of the graph is {_written(sizes)}; a side is at most {MAX_SIDE:,}"
            )
        shape.append(fixed)
    return tuple(shape)


def _channels_are_last(graph: Graph, start: str, sizes: tuple[Size, ...]) -> bool:
    """Tell whether an input is (N, H, W, C): by what reads it, else by its sizes."""
    readers: dict[str, list[GraphNode]] = {}
    for node in graph.nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    waiting, seen = [start], set()
    while waiting:
        name = waiting.pop()
        for node in readers.get(name, ()):
            if node.type == "Transpose":
                return node.attributes.get("perm") == (0, 3, 1, 2)
            if node.type in _PASSING and node.outputs and node.outputs[0] not in seen:
                seen.add(node.outputs[0])
                waiting.append(node.outputs[0])
            elif node.type in _CHANNELS_FIRST:
                return False
    height = sizes[1]
    return graph.producer != OURS and sizes[3] in (1, 3, 4) and isinstance(height, int) and height > 8


def takes_bytes(graph: Graph) -> bool:
    """Tell whether the pictures that a graph takes are bytes, 0..255."""
    return graph.inputs[0].dtype == np.uint8


def bytes_as_they_are(channels: int) -> Preprocessing:
    """Return the preprocessing that leaves bytes what they are, for a graph that prepares pictures itself."""
    return Preprocessing(mean=(0.0,) * channels, deviation=(1 / 255,) * channels)


def our_metadata(graph: Graph) -> Said:
    """Read what `export_model` writes beside a graph; a file that others wrote says nothing.

    Raises:
        ModelFileError: it is not what we write.
    """
    if graph.producer != OURS:
        return Said(None, None, None, False, None)
    try:
        texts = graph.metadata.values()
        if sum(map(len, texts)) > MAX_METADATA or sum(text.count(",") for text in texts) > MAX_MEMBERS:
            raise ValueError(f"they have more than {MAX_METADATA:,} characters or {MAX_MEMBERS:,} values")
        said = {key: json.loads(text) for key, text in graph.metadata.items()}
        if not said:
            return Said(None, None, None, False, None)
        prepared = dict(said["preprocessing"])
        inside, picture = prepared.pop("inside"), prepared.pop("picture")
        return Said(
            TypeAdapter(Annotated[tuple[str, ...], FailFast()]).validate_python(said["classes"]),
            Preprocessing.model_validate(prepared),
            TypeAdapter(Target).validate_python(said["target"]),
            bool(inside),
            TypeAdapter(dict[str, Any] | None).validate_python(picture),
        )
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        what = error.errors(include_url=False)[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise ModelFileError(
            f"the metadata of the file are not those that convserve writes: {what}"
        ) from None


def _inside(graph: Graph) -> str | None:
    """Return the tensor behind the nodes that prepare pictures, where they do what the metadata says."""
    said = our_metadata(graph)
    if not said.inside or said.preprocessing is None:
        return None
    scaling = said.preprocessing.scaling(1)
    wanted = [("Cast", None), ("Mul", scaling.factor), ("Add", scaling.offset), ("Transpose", None)]
    name = graph.inputs[0].name
    for kind, numbers in wanted:
        readers = [node for node in graph.nodes if name in node.inputs]
        if len(readers) != 1 or readers[0].type != kind:
            break
        constants = [graph.initializers.get(each) for each in readers[0].inputs if each != name]
        if numbers is not None and not _holds(constants, numbers):
            break
        name = readers[0].outputs[0]
    else:
        return name
    raise ModelFileError("the graph does not begin with the preprocessing that its metadata says")


def _holds(constants: list[Tensor | None], numbers: Any) -> bool:
    return any(
        each is not None and each.shape == numbers.shape and np.allclose(each.read(), numbers, rtol=1e-5)
        for each in constants
    )


def _written(sizes: tuple[Size, ...] | None) -> str:
    return (
        "unknown" if sizes is None else f"[{', '.join('?' if each is None else str(each) for each in sizes)}]"
    )
