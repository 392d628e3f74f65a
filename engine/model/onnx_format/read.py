"""The guarded reader of ONNX files: from bytes that anyone may have sent to records.

The file is mapped. What describes the graph is small, is copied out and parsed by the library of the format; numbers of
tensors stay where they are until somebody reads them. Whether they fit the file is known before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    defs,
)

from engine.errors import ModelFileError
from engine.model.model_file import few
from engine.model.onnx_format.records import (
    MAX_AXES,
    AttributeValue,
    Graph,
    GraphNode,
    Size,
    Tensor,
    TensorType,
)
from engine.model.onnx_format.stored import DATA, DTYPES, PLACE_OF, Stored, reader
from engine.model.onnx_format.wire import BYTES, Field, Mapped, Span

OLDEST = 7
"""Version of operators that is read; those before had other rules for stretching."""
MAX_DESCRIPTION = 8 * 2**20
"""Bytes of a file that are no numbers of tensors."""
MAX_MESSAGE = 2**18
"""Bytes of what is said of one node, attribute or tensor beside its numbers: parsed they take many more."""
MAX_GRAPH_NODES = 20_000
MAX_ATTRIBUTES = 100
"""Of a node."""
MAX_ELEMENTS = 2**40
"""Of a tensor; one without any has no more along its other axes."""
MAX_NAME = 1_000
"""Characters of a name."""
_MOST_SHORTENED = 64
"""Real numbers of an attribute that are hyperparameters and no constant."""


def read_graph(path: Path, external: Path | None = None) -> Graph:
    """Read an ONNX file.

    Args:
        path: the file.
        external: a second file, for tensors that are stored outside of the first.

    Raises:
        ModelFileError: damaged, too old or too new, of unknown types, or with tensors that do not fit the file.
    """
    try:
        return _Reader(Mapped(path), Mapped(external) if external else None).graph()
    except (DecodeError, UnicodeDecodeError) as error:
        raise ModelFileError(f"the file is no readable ONNX file: {error}") from None


class _Reader:
    def __init__(self, file: Mapped, external: Mapped | None) -> None:
        self._file = file
        self._external = external
        self._locations: set[str] = set()
        self._described = 0

    def graph(self) -> Graph:
        """Read all of the file."""
        said = ModelProto()
        graphs: list[Span] = []
        wanted = {
            ModelProto.IR_VERSION_FIELD_NUMBER,
            ModelProto.PRODUCER_NAME_FIELD_NUMBER,
            ModelProto.OPSET_IMPORT_FIELD_NUMBER,
            ModelProto.METADATA_PROPS_FIELD_NUMBER,
        }

        def other(field: Field) -> None:
            if field.number == ModelProto.GRAPH_FIELD_NUMBER and field.kind == BYTES:
                graphs.append(field.content)

        said.ParseFromString(self._said(self._file.span, wanted, other, MAX_DESCRIPTION))
        if len(graphs) != 1:
            raise ModelFileError(f"the file is no ONNX model: it has {len(graphs):,} graphs and not one")
        opset = self._opset(said)
        found = self._parts(graphs[0])
        initializers: dict[str, Tensor] = {}
        for span in found[GraphProto.INITIALIZER_FIELD_NUMBER]:
            tensor = self._tensor(span, "an initializer")
            if not tensor.name or tensor.name in initializers:
                raise ModelFileError(f"the name {tensor.name!r} of an initializer is empty or taken")
            initializers[tensor.name] = tensor
        inputs = self._types(found[GraphProto.INPUT_FIELD_NUMBER])
        return Graph(
            opset,
            tuple(self._node(span) for span in found[GraphProto.NODE_FIELD_NUMBER]),
            tuple(each for each in inputs if each.name not in initializers),
            self._types(found[GraphProto.OUTPUT_FIELD_NUMBER]),
            initializers,
            {entry.key: entry.value for entry in said.metadata_props},
            said.producer_name,
        )

    def _opset(self, said: ModelProto) -> int:
        versions = [entry.version for entry in said.opset_import if entry.domain in ("", "ai.onnx")]
        newest = defs.onnx_opset_version()
        if len(versions) != 1:
            raise ModelFileError(
                "the file is no ONNX model: it does not say of which version its operators are"
            )
        if not OLDEST <= versions[0] <= newest:
            raise ModelFileError(
                f"the file's operators are of version {versions[0]}; versions {OLDEST} to {newest} are read",
                hint="export the model again with such a version of operators (opset)",
            )
        return int(versions[0])

    def _parts(self, graph: Span) -> Mapping[int, list[Span]]:
        """Return where the parts of a graph are, by the numbers of their fields."""
        found: dict[int, list[Span]] = {
            GraphProto.NODE_FIELD_NUMBER: [],
            GraphProto.INITIALIZER_FIELD_NUMBER: [],
            GraphProto.INPUT_FIELD_NUMBER: [],
            GraphProto.OUTPUT_FIELD_NUMBER: [],
        }
        for field in self._file.fields(graph):
            if field.number == GraphProto.SPARSE_INITIALIZER_FIELD_NUMBER:
                raise ModelFileError("the file has sparse initializers, which are not read")
            if field.number in found and field.kind == BYTES:
                found[field.number].append(field.content)
                if len(found[field.number]) > MAX_GRAPH_NODES:
                    raise ModelFileError(f"the graph has more than {MAX_GRAPH_NODES:,} nodes or initializers")
        return found

    def _types(self, spans: Iterable[Span]) -> tuple[TensorType, ...]:
        wanted = {ValueInfoProto.NAME_FIELD_NUMBER, ValueInfoProto.TYPE_FIELD_NUMBER}
        return tuple(_tensor_type(ValueInfoProto.FromString(self._said(span, wanted))) for span in spans)

    def _node(self, span: Span) -> GraphNode:
        attributes: list[Span] = []
        wanted = {
            NodeProto.INPUT_FIELD_NUMBER,
            NodeProto.OUTPUT_FIELD_NUMBER,
            NodeProto.NAME_FIELD_NUMBER,
            NodeProto.OP_TYPE_FIELD_NUMBER,
            NodeProto.DOMAIN_FIELD_NUMBER,
        }

        def other(field: Field) -> None:
            if field.number == NodeProto.ATTRIBUTE_FIELD_NUMBER and field.kind == BYTES:
                attributes.append(field.content)
                if len(attributes) > MAX_ATTRIBUTES:
                    raise ModelFileError(f"a node has more than {MAX_ATTRIBUTES} attributes")

        node = NodeProto.FromString(self._said(span, wanted, other))
        for name in (node.op_type, node.name, node.domain, *node.input, *node.output):
            _check_name(name)
        place = f"{node.op_type} {node.name or next(iter(node.output), '')!r}"
        found: dict[str, AttributeValue] = {}
        for attribute in attributes:
            name, value = self._attribute(attribute, place)
            if name in found:
                raise ModelFileError(f"{place} has two attributes {name!r}")
            if value is not None:
                found[name] = value
        domain = "" if node.domain == "ai.onnx" else node.domain
        return GraphNode(node.op_type, tuple(node.input), tuple(node.output), found, node.name, domain)

    def _attribute(self, span: Span, place: str) -> tuple[str, AttributeValue | None]:
        """Return name and value; the value of a kind that no operator here has is None."""
        tensors: list[Span] = []
        wanted = {
            AttributeProto.NAME_FIELD_NUMBER,
            AttributeProto.TYPE_FIELD_NUMBER,
            AttributeProto.I_FIELD_NUMBER,
            AttributeProto.F_FIELD_NUMBER,
            AttributeProto.S_FIELD_NUMBER,
            AttributeProto.INTS_FIELD_NUMBER,
            AttributeProto.FLOATS_FIELD_NUMBER,
            AttributeProto.STRINGS_FIELD_NUMBER,
        }

        def other(field: Field) -> None:
            if field.number == AttributeProto.T_FIELD_NUMBER and field.kind == BYTES:
                tensors.append(field.content)

        said = AttributeProto.FromString(self._said(span, wanted, other))
        _check_name(said.name)
        if said.type == AttributeProto.TENSOR and len(tensors) == 1:
            return said.name, self._tensor(tensors[0], place)
        return said.name, _value(said)

    def _tensor(self, span: Span, place: str) -> Tensor:
        """Return a tensor whose numbers were not looked at."""
        data: list[Field] = []
        wanted = {
            TensorProto.DIMS_FIELD_NUMBER,
            TensorProto.DATA_TYPE_FIELD_NUMBER,
            TensorProto.SEGMENT_FIELD_NUMBER,
            TensorProto.NAME_FIELD_NUMBER,
            TensorProto.EXTERNAL_DATA_FIELD_NUMBER,
            TensorProto.DATA_LOCATION_FIELD_NUMBER,
        }

        def other(field: Field) -> None:
            if field.number in DATA and len(data) < 2 and field.content.size:
                data.append(field)

        said = TensorProto.FromString(self._said(span, wanted, other))
        _check_name(said.name)
        what = f"the tensor {said.name!r}" if said.name else f"a tensor of {place}"
        shape = tuple(said.dims)
        if len(shape) > MAX_AXES:
            raise ModelFileError(f"{what} says that its shape is one of {len(shape):,} axes")
        if any(not 0 <= size < 2**31 for size in shape) or math.prod(filter(None, shape)) > MAX_ELEMENTS:
            raise ModelFileError(f"{what} says that its shape is {list(shape)}")
        if said.data_type not in DTYPES:
            raise ModelFileError(
                f"{what} is of type {_type_name(said.data_type)}; {', '.join(map(_type_name, DTYPES))} are read"
            )
        if said.HasField("segment"):
            raise ModelFileError(f"{what} is stored in segments, which are not read")
        stored = self._where(said, data, what)
        return Tensor(said.name, DTYPES[said.data_type], shape, reader(said.data_type, stored, shape, what))

    def _where(self, said: TensorProto, data: list[Field], what: str) -> Stored:
        raw = TensorProto.RAW_DATA_FIELD_NUMBER
        if said.data_location == TensorProto.EXTERNAL:
            if data:
                raise ModelFileError(f"{what} is stored both in the file and outside of it")
            return self._outside(said, what)
        if len(data) > 1 or any(field.kind != BYTES for field in data):
            raise ModelFileError(f"{what} is not stored in one piece")
        if not data:
            return Stored(self._file, Span(0, 0), raw)
        expected = PLACE_OF.get(said.data_type, TensorProto.INT32_DATA_FIELD_NUMBER)
        if data[0].number not in (raw, expected):
            raise ModelFileError(f"{what} is not stored as numbers of its type are")
        return Stored(self._file, data[0].content, data[0].number)

    def _outside(self, said: TensorProto, what: str) -> Stored:
        entries = {entry.key: entry.value for entry in said.external_data}
        location = entries.get("location", "")
        _check_name(location)
        if not location or Path(location).name != location or "\\" in location:
            raise ModelFileError(
                f"{what} is stored in {location!r}, which is no name of a file beside this one",
                hint="store all tensors in the file itself, or in one file in the same folder",
            )
        self._locations.add(location)
        if len(self._locations) > 1:
            raise ModelFileError(
                f"tensors are stored in several files: {few(self._locations)}",
                hint="store all tensors in the file itself, or in one file beside it",
            )
        if self._external is None:
            raise ModelFileError(
                f"{what} is stored in a second file, {location!r}, which was not given",
                hint="give that file too, as `external_data`, or store all tensors in the file itself",
            )
        try:
            start = int(entries.get("offset", "0"))
            end = start + int(entries["length"]) if "length" in entries else self._external.span.end
        except ValueError:
            raise ModelFileError(f"{what} does not say in numbers where it is stored") from None
        if not 0 <= start <= end <= self._external.span.end:
            raise ModelFileError(
                f"{what} is said to be stored at bytes {start:,} to {end:,} of a file that has "
                f"{self._external.span.end:,}",
                hint=f"give the {location!r} that was written with this file, whole",
            )
        return Stored(self._external, Span(start, end), TensorProto.RAW_DATA_FIELD_NUMBER)

    def _copy_of(self, span: Span) -> bytes:
        self._described += span.size
        if self._described > MAX_DESCRIPTION:
            raise ModelFileError(
                f"what the file says beside the numbers of tensors takes more than {MAX_DESCRIPTION:,} bytes"
            )
        return self._file.bytes(span)

    def _said(
        self,
        message: Span,
        wanted: Container[int],
        other: Callable[[Field], None] = lambda field: None,
        most: int = MAX_MESSAGE,
    ) -> bytes:
        """Return a message with its wanted fields alone, at most so many bytes; all others are handed out."""
        said = bytearray()
        for field in self._file.fields(message):
            if field.number not in wanted:
                other(field)
            elif len(said) + field.whole.size > most:
                raise ModelFileError(
                    "what the file says of one node, attribute or tensor beside its numbers takes more than "
                    f"{most:,} bytes"
                )
            else:
                said += self._copy_of(field.whole)
        return bytes(said)


def _value(said: AttributeProto) -> AttributeValue | None:
    kinds: dict[int, Callable[[], AttributeValue]] = {
        AttributeProto.INT: lambda: said.i,
        AttributeProto.FLOAT: lambda: _shortest(said.f),
        AttributeProto.STRING: said.s.decode,
        AttributeProto.INTS: lambda: tuple(said.ints),
        AttributeProto.FLOATS: lambda: tuple(
            map(_shortest if len(said.floats) <= _MOST_SHORTENED else float, said.floats)
        ),
        AttributeProto.STRINGS: lambda: tuple(text.decode() for text in said.strings),
    }
    return kinds[said.type]() if said.type in kinds else None


def _shortest(value: float) -> float:
    """Return the shortest number that is the same float32: 0.001 where 0.0010000000474974513 is stored."""
    return float(str(np.float32(value)))


def _check_name(name: str | bytes) -> None:
    """Refuse a name that cannot be shown; one that is not in UTF-8 comes as bytes."""
    if isinstance(name, bytes) or len(name) > MAX_NAME or not name.isprintable():
        raise ModelFileError(
            f"the file has a name that begins with {name[:50]!r}; names are at most {MAX_NAME:,} printable characters"
        )


def _tensor_type(said: ValueInfoProto) -> TensorType:
    _check_name(said.name)
    if not said.type.HasField("tensor_type"):
        return TensorType(said.name, None, None)
    tensor = said.type.tensor_type
    dtype = DTYPES.get(tensor.elem_type)
    if not tensor.HasField("shape"):
        return TensorType(said.name, dtype, None)
    if len(tensor.shape.dim) > MAX_AXES:
        raise ModelFileError(f"the file says that {said.name!r} has {len(tensor.shape.dim):,} axes")
    return TensorType(said.name, dtype, tuple(map(_size, tensor.shape.dim)))


def _size(dimension: Any) -> Size:
    if dimension.HasField("dim_value"):
        return int(dimension.dim_value)
    _check_name(dimension.dim_param)
    return str(dimension.dim_param) or None


def _type_name(kind: int) -> str:
    try:
        return str(TensorProto.DataType.Name(kind))
    except ValueError:
        return str(kind)
