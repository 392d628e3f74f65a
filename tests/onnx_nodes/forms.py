"""How a test of a node is expressed as a file with one input, a batch of pictures, that is then imported.

A weight, a shape or an axis becomes an initializer with the test's numbers. What is left is the picture:

- **batch**: the first axis of the test's tensor is the batch; convolutions, pools, normalisations, Resize, Gemm.
- **one picture**: all of the test's tensor is one picture of a batch, whose axis stands before the others; axes that
  are counted from the front are counted one further. What has more than three axes comes as a row and is reshaped.
- **several**: the tensors of Concat and the like come as one row, which is cut and reshaped into them.
- **constant**: everything is an initializer, the node is computed while the file is read, and the network adds its
  output to a picture of zeros: integers, shapes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from engine.arrays import Array
from engine.errors import EngineError
from engine.layers import Context
from engine.model.onnx_format.read import read_graph
from engine.model.onnx_import.importing import import_network
from tests.onnx_nodes.cases import ARITHMETIC, CONSTANTS, OVER_AXES, REAL, Case

PICTURE = "picture"
# fmt: off
BATCHED = (
    "Conv", "ConvTranspose", "BatchNormalization", "InstanceNormalization", "GroupNormalization", "LRN",
    "MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool", "Resize", "Upsample", "Gemm",
)
# fmt: on
SEVERAL = ("Concat", "Sum", *ARITHMETIC)
FIRST_ALONE = ("LayerNormalization", "Dropout")
"""Operators of whose outputs a network has the first; the others are for training."""


@dataclass
class Form:
    """A file, and what goes into the network and has to come out."""

    picture: Array
    expected: Array
    output: str
    shape: tuple[Any, ...]
    """Of the file's input."""
    nodes: list[NodeProto] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)

    def add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add a node and return its output."""
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, name: str, numbers: Any) -> str:
        """Add integers that a node reads, and return their name."""
        self.constants[name] = np.asarray(numbers, np.int64)
        return name


def forms(case: Case) -> Iterator[Form]:
    """Return the files that express a test; it passes if all of them do."""
    outputs = case.outputs[:1] if case.operator in FIRST_ALONE else case.outputs
    integers = any(each.dtype.name not in REAL for each in (*case.inputs[:1], *outputs))
    for place in range(len(outputs)):
        if case.operator in CONSTANTS or (integers and case.operator in (*ARITHMETIC, "Cast")):
            yield folded(case, place)
        elif case.operator == "Gather":
            yield folded(case, place)
            yield one_picture(case, place)
        elif case.operator in BATCHED or (case.is_body and case.operator in OVER_AXES):
            yield batch(case, place)
        elif case.operator in SEVERAL:
            yield several(case, place)
            if case.operator in ARITHMETIC:
                yield one_picture(case, place)
                yield one_picture(case, place, 1)
        else:
            yield one_picture(case, place)


def batch(case: Case, place: int) -> Form:
    """Axis 0 of the first input is the batch; of Gemm's with transA axis 1."""
    x = _real(case.inputs[0])
    form = Form(x, case.outputs[place], case.made[place], x.shape)
    form.constants = dict(zip(case.names[1:], case.inputs[1:], strict=True))
    source = PICTURE
    if not case.is_body and case.operator == "Gemm" and case.attributes.get("transA"):
        form.picture, form.shape = x.T, x.shape[::-1]
        source = form.add("Transpose", [source], "columns", perm=[1, 0])
    form.nodes += [_renamed(node, {case.names[0]: source}) for node in case.nodes]
    return form


def one_picture(case: Case, place: int, which: int = 0) -> Form:
    """One input of the test, the first if not said otherwise, is a batch of one picture."""
    x = _real(case.inputs[which])
    others = dict(zip(case.names, case.inputs, strict=True))
    x = x.reshape((1,) * _lacking(case, x) + x.shape)
    form = Form(x[np.newaxis], case.outputs[place], case.made[place], ("N", *x.shape))
    source = PICTURE
    if not 1 <= x.ndim <= 3:
        form.picture, form.shape = x.reshape(1, -1), ("N", x.size)
        source = form.add("Reshape", [source, form.constant("own shape", [0, *x.shape])], "shaped")
    del others[case.names[which]]
    form.constants |= others
    nodes = [_renamed(node, {case.names[which]: source}) for node in case.nodes]
    form.nodes += nodes if case.is_body else [_further(case, form, nodes[0], x.ndim)]
    return form


def several(case: Case, place: int) -> Form:
    """All inputs of the test are parts of one row."""
    rank = max(each.ndim for each in case.inputs)
    row = np.concatenate([_real(each).reshape(1, -1) for each in case.inputs], axis=1)
    form = Form(row, case.outputs[place], case.made[place], ("N", row.size))
    names, first = {}, 0
    for number, (name, each) in enumerate(zip(case.names, case.inputs, strict=True)):
        ends = [
            form.constant(f"{end} {number}", [at]) for end, at in (("from", first), ("to", first + each.size))
        ]
        part = form.add("Slice", [PICTURE, *ends, form.constant("axis", [1])], f"part {number}")
        shape = form.constant(f"shape {number}", [0, *(1,) * (rank - each.ndim), *each.shape])
        names[name] = form.add("Reshape", [part, shape], f"tensor {number}")
        first += each.size
    form.nodes.append(_further(case, form, _renamed(case.node, names), rank))
    return form


def folded(case: Case, place: int) -> Form:
    """All inputs are initializers."""
    expected = case.outputs[place]
    form = Form(
        np.zeros((1, expected.size), np.float32), expected, "picture and constant", ("N", expected.size)
    )
    form.constants |= dict(zip(case.names, case.inputs, strict=True))
    form.nodes += case.nodes
    real = form.add("Cast", [case.made[place]], "real", to=TensorProto.FLOAT)
    row = form.add("Reshape", [real, form.constant("row", [1, expected.size])], "as row")
    form.add("Add", [PICTURE, row], form.output)
    return form


def _real(numbers: Array) -> Array:
    """Return a picture's numbers in the precision in which networks compute; it holds all small integers."""
    return numbers.astype(np.float32)


def _renamed(node: NodeProto, names: dict[str, str]) -> NodeProto:
    renamed = NodeProto()
    renamed.CopyFrom(node)
    renamed.input[:] = [names.get(name, name) for name in node.input]
    return renamed


def _lacking(case: Case, x: Array) -> int:
    """Return how many axes of size 1 stand before those of a tensor, so that the picture's own axis is not matched."""
    rank: int = max(each.ndim for each in case.inputs)
    if case.operator in ARITHMETIC:
        return rank - x.ndim
    if case.operator == "MatMul":  # a vector at the left is a row
        return max(rank, 2) - x.ndim
    return 0


def _further(case: Case, form: Form, node: NodeProto, rank: int) -> NodeProto:
    """Return a node for tensors with one more axis at the front: axes counted from there are one further.

    Args:
        case: the test.
        form: where constants are changed.
        node: of a test without that axis; it is changed.
        rank: of its tensors.
    """

    def further(axis: int) -> int:
        return axis + 1 if axis >= 0 else axis

    def place(number: int, change: Callable[[list[int]], list[int]]) -> None:
        while len(node.input) <= number:
            node.input.append("")
        given = node.input[number]
        old = form.constants.pop(given).tolist() if given else []
        node.input[number] = form.constant(given or f"added {number}", change(old))

    def every_axis(axes: list[int]) -> list[int]:
        return [further(axis) for axis in axes] or list(range(1, rank + 1))

    kind, given = case.operator, dict(case.attributes)
    if kind in ("Concat", "Flatten", "Split", "Softmax", "LogSoftmax", "LayerNormalization", "Gather"):
        default = {"Flatten": 1, "Split": 0, "Gather": 0}.get(kind, -1)
        given["axis"] = further(given.get("axis", default))
    elif kind == "Transpose":
        given["perm"] = [0, *(axis + 1 for axis in given.get("perm", range(rank)[::-1]))]
    elif kind == "Reshape":
        place(1, lambda sizes: [0, *sizes])
    elif kind in ("Squeeze", "ReduceMean", "Unsqueeze"):
        place(1, every_axis)
    elif kind == "Slice":
        count = form.constants[node.input[1]].size
        place(3, lambda axes: every_axis(axes)[:count])
    elif kind == "Pad":
        place(3, every_axis)
    del node.attribute[:]
    node.attribute.extend(helper.make_attribute(name, each) for name, each in given.items())
    return node


def written(case: Case, form: Form, folder: Path) -> Path:
    """Write a form as a file."""
    read = {name for node in form.nodes for name in node.input}
    graph = helper.make_graph(
        form.nodes,
        case.name,
        [helper.make_tensor_value_info(PICTURE, TensorProto.FLOAT, form.shape)],
        [helper.make_tensor_value_info(form.output, TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(np.asarray(each), name)
            for name, each in form.constants.items()
            if name in read
        ],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", case.opset)], ir_version=case.ir_version
    )
    path = folder / "node.onnx"
    onnx.save(model, path)
    return path


def computed(form: Form, path: Path) -> Array:
    """Import a file and return what the network computes of the form's picture."""
    found = import_network(read_graph(path))
    x = np.ascontiguousarray(found.input.from_onnx(form.picture))
    return found.output.to_onnx(found.network.forward(found.weights, x, Context()).output)


def run(case: Case, form: Form, folder: Path) -> None:
    """Import a file, let the network compute, and compare.

    Raises:
        EngineError: it cannot be imported.
        AssertionError: other numbers come out than are expected.
    """
    y = computed(form, written(case, form, folder))
    assert math.prod(y.shape) == form.expected.size, f"{y.shape} numbers and not {form.expected.shape}"
    if form.expected.dtype.name in REAL:  # what a graph says of precision, networks here do not follow
        y = y.astype(form.expected.dtype).astype(np.float32)
    expected = form.expected.astype(np.float32)
    np.testing.assert_allclose(y.reshape(expected.shape), expected, rtol=case.rtol, atol=case.atol)


def fault(case: Case, folder: Path) -> str | None:
    """Return what is wrong with a test; None if it passes in each of its forms."""
    try:
        for form in forms(case):
            run(case, form, folder)
    except (EngineError, AssertionError) as error:
        return f"{case.name}: {error}"
    return None
