"""A network of ours as ONNX, with the same weights: what the other servers serve.

Pictures (n, C, H, W) of numbers 0..1 come in, probabilities go out. Only the layers of the networks that are measured
are written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from engine.arrays import Array, Shape
from engine.graph.network import Network
from engine.graph.node import Node

OPSET = 17
INPUT, OUTPUT = "input", "probabilities"
_OPERATORS = {
    "add": "Add",
    "batch_norm": "BatchNormalization",
    "conv2d": "Conv",
    "dense": "Gemm",
    "depthwise_conv2d": "Conv",
    "dropout": "Identity",
    "flatten": "Flatten",
    "max_pool2d": "MaxPool",
    "relu": "Relu",
    "relu6": "Clip",
}


def onnx_model(network: Network, weights: Mapping[str, Array]) -> ModelProto:
    """Return a network with these weights as an ONNX model, with softmax behind it.

    Raises:
        ValueError: a layer that is not written here.
    """
    tensors: dict[str, Array] = {"zero": np.array(0, np.float32), "six": np.array(6, np.float32)}
    nodes: list[NodeProto] = []
    flattened = {node.name: node.input_shapes[0] for node in network.nodes if node.layer.type == "flatten"}
    for node in network.nodes:
        arranged = _arranged(node, weights, flattened.get(node.inputs[0]))
        given = {f"{node.name}/{name}": array for name, array in arranged.items()}
        tensors |= given
        nodes += _nodes(node, list(given))
    nodes.append(helper.make_node("Softmax", [network.nodes[-1].name], [OUTPUT], axis=1))
    height, width, channels = network.input_shape
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", channels, height, width])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", *network.output_shape])],
        [numpy_helper.from_array(array, name) for name, array in tensors.items() if name in used],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = 9
    return model


def _arranged(node: Node, weights: Mapping[str, Array], flattened: Shape | None) -> dict[str, Array]:
    """Return a node's weights in the order of ONNX: filters (out, in, height, width), maps flattened as (C, H, W).

    `flattened` is the shape (H, W, C) of the map whose numbers a dense layer reads, if it does.
    """
    found = {name: np.asarray(weights[f"{node.name}/{name}"]) for name in node.weights}
    if node.layer.type in ("conv2d", "depthwise_conv2d"):
        order = node.weights["weight"].order(("out", "in", "height", "width"))
        found["weight"] = np.ascontiguousarray(found["weight"].transpose(order))
    if node.layer.type == "dense" and flattened is not None:
        rows = found["weight"].reshape(*flattened, -1).transpose(2, 0, 1, 3)
        found["weight"] = rows.reshape(found["weight"].shape)
    return found


def _nodes(node: Node, given: list[str]) -> list[NodeProto]:
    """Return what computes a node from its inputs and the names of its weights."""
    layer: Any = node.layer
    inputs, outputs, kind = list(node.inputs), [node.name], layer.type
    if kind == "global_average_pool2d":
        mean = [f"{node.name}/mean"]
        return [
            helper.make_node("GlobalAveragePool", inputs, mean),
            helper.make_node("Flatten", mean, outputs),
        ]
    attributes: dict[str, Any] = {}
    if kind in ("conv2d", "depthwise_conv2d"):
        groups = node.input_shapes[0][2] if kind == "depthwise_conv2d" else layer.groups
        attributes = {"strides": layer.stride, "dilations": layer.dilation, "pads": _pads(node)}
        attributes |= {"kernel_shape": layer.kernel_size, "group": groups}
    elif kind == "max_pool2d":
        stride = layer.stride or layer.pool_size
        attributes = {"kernel_shape": layer.pool_size, "strides": stride, "pads": _pads(node)}
    elif kind == "batch_norm":
        attributes = {"epsilon": layer.epsilon}
    elif kind == "relu6":
        given = ["zero", "six"]
    if kind not in _OPERATORS:
        raise ValueError(f"{kind} is not written as ONNX here")
    return [helper.make_node(_OPERATORS[kind], [*inputs, *given], outputs, **attributes)]


def _pads(node: Node) -> list[int]:
    """Return the rows and columns before, then those behind."""
    layer: Any = node.layer
    rows, columns = layer.window(node.input_shapes[0])
    behind = [axis.padded - axis.size - axis.before for axis in (rows, columns)]
    return [rows.before, columns.before, *behind]
