"""The tests of the onnx package for one operator each, and which of them no network here can express."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper
from onnx.backend.test.case.node import collect_testcases

from engine.arrays import Array

# fmt: off
OPERATORS = (
    "Conv", "ConvTranspose", "BatchNormalization", "InstanceNormalization", "LayerNormalization",
    "GroupNormalization", "LRN", "MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool",
    "ReduceMean", "Gemm", "MatMul", "Add", "Sub", "Mul", "Div", "Sum", "Concat", "Pad", "Resize",
    "Upsample", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Split", "Softmax",
    "LogSoftmax", "Clip", "Relu", "LeakyRelu", "PRelu", "Elu", "Selu", "Gelu", "Sigmoid", "HardSigmoid",
    "HardSwish", "Tanh", "Softplus", "Erf", "Dropout", "Cast", "Identity", "Constant", "ConstantOfShape",
    "Shape", "Gather",
)
# fmt: on
"""Those whose tests count."""

SPATIAL = ("Conv", "ConvTranspose", "MaxPool", "AveragePool")
ARITHMETIC = ("Add", "Sub", "Mul", "Div")
OVER_AXES = ("LayerNormalization", "Softmax", "LogSoftmax")
"""Operators in whose bodies axes are counted."""
CONSTANTS = ("Constant", "ConstantOfShape", "Shape")
"""Operators whose output does not depend on the numbers of a picture: they are computed while a file is read."""


@dataclass(frozen=True)
class Case:
    """One test: a node, or the body that stands for it, with numbers."""

    name: str
    operator: str
    """Whose test it is."""
    node: NodeProto
    """The operator, also where the test is of its body."""
    nodes: tuple[NodeProto, ...]
    names: tuple[str, ...]
    """Of the tensors that go in."""
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    made: tuple[str, ...]
    """Names of the tensors that come out."""
    opset: int
    ir_version: int
    rtol: float
    atol: float

    @property
    def is_body(self) -> bool:
        """Whether the operator is written in simpler ones."""
        return "_expanded" in self.name

    @cached_property
    def attributes(self) -> Mapping[str, Any]:
        """Those of the operator."""
        return {each.name: helper.get_attribute_value(each) for each in self.node.attribute}

    def input(self, place: int) -> Array | None:
        """Return what goes in at a place of the node's inputs; None if that is left out."""
        names = list(self.node.input)
        return self.inputs[self.names.index(names[place])] if place < len(names) and names[place] else None


class Listed(NamedTuple):
    """All tests of the package, and those of our operators."""

    total: int
    cases: tuple[Case, ...]


def listed() -> Listed:
    """Return the tests of our operators, those of an operator's body among them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some tests divide by zero on purpose
        found = collect_testcases(None)
    models = [(test, test.model) for test in found if test.model is not None]
    alone = {test.name: model.graph.node[0] for test, model in models if len(model.graph.node) == 1}
    cases = []
    for test, model in models:
        node = alone.get(test.name.partition("_expanded")[0])
        if node is None or node.op_type not in OPERATORS:
            continue
        graph, ((inputs, outputs), *_) = model.graph, test.data_sets or ()
        cases.append(
            Case(
                test.name,
                node.op_type,
                node,
                tuple(graph.node),
                tuple(each.name for each in graph.input),
                tuple(map(_array, inputs)),
                tuple(map(_array, outputs)),
                tuple(each.name for each in graph.output),
                next(each.version for each in model.opset_import if not each.domain),
                model.ir_version,
                test.rtol,
                test.atol,
            )
        )
    return Listed(len(found), tuple(cases))


def _array(tensor: Any) -> Any:
    """Return a tensor of any form as an array; what is no tensor stays as it is."""
    if isinstance(tensor, TensorProto):
        return numpy_helper.to_array(tensor)
    return np.asarray(tensor) if isinstance(tensor, np.generic) else tensor


REAL = ("float16", "bfloat16", "float32", "float64")
NUMBERS = (*REAL, "bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))


def reason(case: Case) -> str | None:
    """Return why no network here can express a test; None if one can."""
    arrays = [*case.inputs, *case.outputs]
    if not all(isinstance(each, np.ndarray) for each in arrays):
        return "its tensors are sequences, or may be left out"
    if any(each.dtype.name not in NUMBERS for each in arrays):
        return "types of quantised networks, and texts"
    if not all(each.size for each in case.outputs):
        return "what comes out has no numbers"
    return _of_body(case) if case.is_body else _of_node(case)


def _of_body(case: Case) -> str | None:
    if case.operator == "Selu":
        return "a body with Exp, for which there is no layer"
    if case.operator in OVER_AXES and case.attributes.get("axis", -1) in (0, -case.inputs[0].ndim):
        return "a body that goes over the axis of the batch"
    return None


def _of_node(case: Case) -> str | None:
    kind, first = case.operator, case.input(0)
    if kind in SPATIAL and first is not None and first.ndim == 5:
        return "volumes: three axes of space"
    if kind == "MaxPool" and len(case.outputs) > 1:
        return "places of the largest numbers come out, too"
    if kind == "Gemm" and (bias := case.input(2)) is not None and bias.ndim == 2 and bias.shape[0] > 1:
        return "a bias of its own for each picture of the batch"
    return _of_resize(case) if kind == "Resize" else _of_training(case)


def _of_training(case: Case) -> str | None:
    if case.operator == "BatchNormalization" and case.attributes.get("training_mode"):
        return "training: statistics of the batch come out"
    if case.operator == "Dropout":
        ratio, training = case.input(1), case.input(2)
        if training is not None and training and (ratio is None or ratio):
            return "training: numbers are dropped by chance"
    return None


def _of_resize(case: Case) -> str | None:
    mode = case.attributes.get("coordinate_transformation_mode", b"half_pixel")
    if mode == b"tf_crop_and_resize":
        return "a cut-out whose edges lie between pixels (roi)"
    x, scales = case.input(0), case.input(2)
    if (
        mode == b"align_corners"
        and x is not None
        and scales is not None
        and np.any(np.array(x.shape) * scales % 1)
    ):
        return ROUNDED
    return None


ROUNDED = (
    "the outermost pixels of a size that is no whole number: ONNX Runtime's numbers, and ours, are others"
)
