"""Models as ONNX files, for other runtimes.

Layers say in records what they are (`engine/layers/export.py`). Here the records become nodes of one graph, in which
batches of maps are (N, C, H, W) and N is left open. The last node applies the link of the loss, so that predictions
come out. What is needed beside the graph lies in the file's metadata, as JSON: `classes`, `target` and `preprocessing`.
Format: Open Neural Network Exchange, https://onnx.ai/onnx/repo-docs/IR.html
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper

from engine.arrays import Array, Shape, Weights
from engine.errors import LimitError
from engine.graph.network import INPUT, Network
from engine.inputs.preprocessing import Preprocessing
from engine.layers.export import Constant, Given, Operator, Value, channels_first, operator, reals, turned
from engine.model.model_file import Model

OPSET = 17
"""Version of the operators: runtimes of 2022 and later compute them."""
IR = 8
"""Version of the file format that came with it."""
MAX_BYTES = 2**31 - 2**20
"""A file ends at 2 GiB; a little is left for the graph."""
PIXELS = "pixels"
"""The input, where the graph prepares pictures; else it is `input`."""
PREDICTIONS = "predictions"
PIECE = 2**20


@dataclass(frozen=True)
class OnnxFile:
    """What an ONNX file consists of; the weights stay where they are until their piece is taken."""

    start: bytes
    tensors: tuple[tuple[bytes, Array], ...]
    """The description of each array, and the array; it is stored from the first axis to the last."""

    def __len__(self) -> int:
        """Return the size of the file."""
        return len(self.start) + sum(len(head) + array.nbytes for head, array in self.tensors)

    def pieces(self) -> Iterator[bytes]:
        """Yield the file in pieces of at most `PIECE` bytes."""
        yield self.start
        for head, array in self.tensors:
            yield head
            numbers = np.ascontiguousarray(array).reshape(-1)
            step = PIECE // array.itemsize
            yield from (numbers[first : first + step].tobytes() for first in range(0, numbers.size, step))

    def sha256(self) -> str:
        """Return the SHA-256 of the file, in hexadecimal digits."""
        found = hashlib.sha256()
        for piece in self.pieces():
            found.update(piece)
        return found.hexdigest()


def export_model(model: Model, *, preprocessing_inside: bool = False) -> OnnxFile:
    """Return a model as an ONNX file whose output is predictions (N, K); equal models give equal bytes.

    Args:
        model: what to write.
        preprocessing_inside: whether pictures come as they are, uint8 (N, H, W, C), and the graph prepares them; else
            they come as `Preprocessing.apply` returns them but with the channels first, float32 (N, C, H, W).

    Raises:
        LimitError: the weights are larger than such a file can be.
    """
    size = sum(array.nbytes for array in model.weights.values())
    if size > MAX_BYTES:
        raise LimitError(
            f"the weights take {size:,} bytes; an ONNX file holds at most {MAX_BYTES:,}",
            hint="take the model as a safetensors file",
        )
    network = Network.build(model.architecture).without_final(model.loss.link)
    graph = _Graph()
    if preprocessing_inside:
        graph.takes(PIXELS, network.input_shape, np.uint8)
        graph.add(prepared(model.preprocessing, Given(PIXELS, network.input_shape)), INPUT)
    else:
        graph.takes(INPUT, turned(network.input_shape))
    scores = graph.add_network(network, model.weights)
    graph.add(model.loss.export(scores), PREDICTIONS)
    graph.gives(PREDICTIONS, network.output_shape)
    return graph.file(
        {
            "classes": list(model.classes),
            "target": model.target,
            "preprocessing": {
                "inside": preprocessing_inside,
                **model.preprocessing.model_dump(mode="json"),
                "picture": model.metadata.get("picture"),
            },
        }
    )


def export_network(network: Network, weights: Weights) -> OnnxFile:
    """Return a network alone as an ONNX file: float32 (N, C, H, W) or (N, C) in and out."""
    graph = _Graph()
    graph.takes(INPUT, turned(network.input_shape))
    output = graph.add_network(network, weights)
    graph.gives(output.name, turned(network.output_shape))
    return graph.file({})


def prepared(preprocessing: Preprocessing, pixels: Given) -> Operator:
    """Return what brings pictures (N, H, W, C) of bytes to what a network takes: `Preprocessing.apply`."""
    scaling = preprocessing.scaling(1)
    numbers = operator("Cast", pixels, to=int(TensorProto.FLOAT))
    scaled = operator("Add", operator("Mul", numbers, reals(scaling.factor)), reals(scaling.offset))
    return channels_first(scaled)


class _Graph:
    """A graph in the making. A tensor is called as the node that computes it, a weight by its full name."""

    def __init__(self) -> None:
        self._graph = GraphProto(name="network")
        self._constants: dict[str, Array] = {}

    def takes(self, name: str, shape: Shape, dtype: type[np.float32 | np.uint8] = np.float32) -> None:
        """Add an input; the batch comes before `shape`."""
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self._graph.input.append(helper.make_tensor_value_info(name, kind, ["N", *shape]))

    def gives(self, name: str, shape: Shape) -> None:
        """Add an output; the batch comes before `shape`."""
        self._graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape]))

    def add_network(self, network: Network, weights: Weights) -> Given:
        """Add all nodes of a network, which reads `input`; return its output."""
        outputs = {INPUT: Given(INPUT, network.input_shape)}
        last = outputs[INPUT]
        for node in network.nodes:
            inputs = [outputs[name] for name in node.inputs]
            # a node may be called as what the graph takes and gives
            output = f"{node.name}:output" if node.name in (PIXELS, PREDICTIONS) else node.name
            last = outputs[node.name] = Given(output, node.output_shape)
            self._add(node.layer.export(node.local(weights), *inputs), output, node.name, {})
        return last

    def add(self, value: Operator, name: str) -> None:
        """Add an operator, whose output gets this name, after those that its inputs come from."""
        self._add(value, name, name, {})

    def file(self, said: Mapping[str, object]) -> OnnxFile:
        """Return the file, with metadata as JSON.

        The library would hold every weight three times; so what it has written of the graph is followed by the arrays
        as fields of the same message, in the encoding of https://protobuf.dev/programming-guides/encoding
        """
        written = ModelProto(
            ir_version=IR,
            producer_name="convserve",
            opset_import=[helper.make_opsetid("", OPSET)],
        )
        helper.set_model_props(
            written, {key: json.dumps(value, ensure_ascii=False) for key, value in said.items()}
        )
        nodes = self._graph.SerializeToString(deterministic=True)
        tensors = tuple((_head(name, array), array) for name, array in self._constants.items())
        length = len(nodes) + sum(len(head) + array.nbytes for head, array in tensors)
        model = written.SerializeToString(deterministic=True)
        return OnnxFile(model + _field(ModelProto.GRAPH_FIELD_NUMBER, length) + nodes, tensors)

    def _add(self, value: Operator, name: str, node: str, done: dict[int, str]) -> None:
        """Add an operator and what leads to it; `done` has the names of what is there already, by its identity."""
        inputs = [self._named(each, node, done) for each in value.inputs]
        attributes = [helper.make_attribute(key, given) for key, given in value.attributes.items()]
        self._graph.node.append(
            NodeProto(op_type=value.type, name=name, input=inputs, output=[name], attribute=attributes)
        )

    def _named(self, value: Value, node: str, done: dict[int, str]) -> str:
        if isinstance(value, Given):
            return value.name
        if id(value) not in done:
            own = value.name if isinstance(value, Constant) else None
            # no name of a node has a colon
            name = done[id(value)] = f"{node}:{len(done) + 1}" if own is None else f"{node}/{own}"
            if isinstance(value, Constant):
                self._store(value.array, name)
            else:
                self._add(value, name, node, done)
        return done[id(value)]

    def _store(self, array: Array, name: str) -> None:
        kind = np.int64 if array.dtype == np.int64 else np.float32
        self._constants[name] = array.astype(np.dtype(kind).newbyteorder("<"), copy=False)


def _head(name: str, array: Array) -> bytes:
    """Return what comes before the numbers of an array in the message of the graph."""
    kind = TensorProto.INT64 if array.dtype == np.int64 else TensorProto.FLOAT
    tensor = TensorProto(name=name, dims=array.shape, data_type=kind)
    described: bytes = tensor.SerializeToString(deterministic=True)
    numbers = _field(TensorProto.RAW_DATA_FIELD_NUMBER, array.nbytes)
    length = len(described) + len(numbers) + array.nbytes
    return _field(GraphProto.INITIALIZER_FIELD_NUMBER, length) + described + numbers


def _field(number: int, length: int) -> bytes:
    """Return what comes before a field of so many bytes: its number and its length, seven bits in each byte."""
    start = bytearray([number << 3 | 2])
    while length > 0x7F:
        start.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*start, length])
