"""ONNX files that were made to do harm, and what their refusals say."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

MANY = 19_990
"""Nodes, just fewer than are read."""
HUGE = 2**62


def value(name: str, *shape: int | str) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def stored(name: str, numbers: Any, kind: type = np.float32) -> TensorProto:
    return numpy_helper.from_array(np.asarray(numbers, kind), name)


def integers(name: str, *numbers: int) -> TensorProto:
    return stored(name, numbers, np.int64)


def node(kind: str, inputs: str, outputs: str, **attributes: object) -> NodeProto:
    return helper.make_node(kind, inputs.split(), outputs.split(), **attributes)


def model(
    *nodes: NodeProto, weights: tuple[TensorProto, ...] = (), x: ValueInfoProto | None = None, opset: int = 17
) -> ModelProto:
    graph = helper.make_graph(nodes, "g", [x or value("x", "N", 2, 5, 5)], [value("y", "N", 3)], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def chain(count: int, kind: str, more: str = "", *end: NodeProto, **attributes: object) -> list[NodeProto]:
    """Return nodes from `x` to `end`, each of which reads the one before it, and then the tensors `more`."""
    steps = [node(kind, f"t{step} {more}", f"t{step + 1}", **attributes) for step in range(count)]
    steps[0].input[0] = "x"
    return [*steps, *(end or [node("Flatten", f"t{count}", "y")])]


def classifier() -> ModelProto:
    return model(
        node("Conv", "x w", "c", kernel_shape=[3, 3]),
        node("Relu", "c", "r"),
        node("GlobalAveragePool", "r", "p"),
        node("Reshape", "p s", "y"),
        weights=(stored("w", np.ones((3, 2, 3, 3))), integers("s", 0, -1)),
    )


def changed(change: Callable[[ModelProto], object]) -> ModelProto:
    found = classifier()
    change(found)
    return found


# Bytes of messages that no library would write


def varint(number: int) -> bytes:
    found = b""
    while number > 127:
        found, number = found + bytes([number & 127 | 128]), number >> 7
    return found + bytes([number])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def raw(graph: bytes, *, border: bool = True) -> bytes:
    """Return a file with these fields of a graph, and with an input `x` and an output `y` if it has a border."""
    if border:
        graph += field(11, value("x", "N", 2, 5, 5).SerializeToString())
        graph += field(12, value("y", "N", 3).SerializeToString())
    return field(7, graph) + field(8, b"\x10\x11")


def raw_node(more: bytes) -> bytes:
    return raw(field(1, node("Relu", "x", "y").SerializeToString() + more))


def raw_tensor(sizes: tuple[int, ...], kind: int, data: bytes) -> bytes:
    """Return a file that adds a stored tensor to its input."""
    dims = b"".join(varint(1 << 3) + varint(size) for size in sizes)
    tensor = dims + varint(2 << 3) + varint(kind) + field(8, b"w") + data
    nodes = field(1, node("Add", "x w", "z").SerializeToString()) + field(
        1, node("Flatten", "z", "y").SerializeToString()
    )
    return raw(nodes + field(5, tensor))


def nested(depth: int) -> bytes:
    """Return a graph with a node whose branch is a graph with a node whose branch is a graph..."""
    inner = b""
    for _ in range(depth):
        branch = field(5, field(1, b"then_branch") + b"\xa0\x01\x05" + field(6, inner))
        inner = field(1, field(1, b"x") + field(2, b"y") + field(4, b"If") + branch)
    return inner


def doubled(*end: NodeProto) -> ModelProto:
    """Return a file with 2^60 sums of integers behind the two numbers `s`."""
    sums = [node("Add", f"w{step} w{step}", f"w{step + 1}") for step in range(60)]
    weights = (stored("w0", np.zeros(100_000), np.int64), integers("a", 0), integers("b", 2))
    return model(*sums, node("Slice", "w60 a b", "s"), *end, weights=weights)


def on_map(*nodes: NodeProto, weights: tuple[TensorProto, ...]) -> ModelProto:
    """Return a file that adds `w`, as large as a map of 70 by 70, to its input."""
    return model(
        *nodes,
        node("Add", "x w", "z"),
        node("Flatten", "z", "y"),
        weights=weights,
        x=value("x", "N", 1, 70, 70),
    )


def with_metadata(**texts: str) -> ModelProto:
    found = classifier()
    found.producer_name = "convserve"
    said = {
        "classes": '["a", "b", "c"]',
        "target": '"class"',
        "preprocessing": '{"inside": false, "picture": null, "mean": [0, 0], "deviation": [1, 1]}',
    }
    for key, text in (said | texts).items():
        found.metadata_props.add(key=key, value=text)
    return found


def preprocessing(numbers: str) -> ModelProto:
    said = f'{{"inside": false, "picture": null, "mean": [{numbers}, 0], "deviation": [1, 1]}}'
    return with_metadata(preprocessing=said)


def pooled(kind: str, inputs: str, *weights: TensorProto, **attributes: object) -> ModelProto:
    """Return a file that averages over what an operator makes of its input."""
    return model(
        node(kind, inputs, "z", **attributes),
        node("GlobalAveragePool", "z", "p"),
        node("Flatten", "p", "y"),
        weights=weights,
    )


LONG = frozenset(
    {
        "many that are nearly Gelu",
        "many products",
        "half a million imports of operators",
        "many orders of axes",
        "thousands of new axes",
        "two million fields",
        "a shape of thousands of axes",
        "many weights",
        "many that change nothing",
    }
)
"""Files of the corpus that take most of the time of all."""

CORPUS: dict[str, tuple[Callable[[], ModelProto | bytes], str]] = {
    # sizes that lie
    "no numbers along enormous axes": (
        lambda: raw_tensor((0, *(2**31 - 1,) * 6), 1, b""), "says that its shape is [0, 2147483647"),
    "a thousand axes": (lambda: raw_tensor((1,) * 1_000, 1, field(9, b"\0" * 4)), "one of 1,000 axes"),
    "an axis of 2^62": (lambda: raw_tensor((HUGE,), 1, field(9, b"\0" * 4)), "says that its shape is"),
    "sizes whose product overflows": (
        lambda: raw_tensor((2**16,) * 4, 1, field(9, b"\0" * 8)), "says that its shape is"),
    "sizes below 0": (lambda: raw_tensor((2**64 - 1,), 1, field(9, b"")), "says that its shape is [-1]"),
    "gigabytes in a hundred bytes": (
        lambda: raw_tensor((1, 2, 2**15, 2**15), 1, field(9, b"\0" * 200)), "but the file holds 50"),
    "a length beyond the file": (
        lambda: raw_tensor((50,), 1, varint(9 << 3 | 2) + varint(2**62) + b"\0" * 200), "do not fit together"),
    "numbers that do not end": (lambda: raw_tensor((2, 5, 5), 7, field(7, b"\xff" * 500)), "but the file holds 0"),
    "a number that is cut off": (lambda: raw_tensor((1,), 7, field(7, b"\1\xff")), "do not fit together"),
    "numbers one by one": (
        lambda: raw_tensor((2, 5, 5), 1, b"\x25\0\0\0\0" * 400_000), "is not stored in one piece"),
    "numbers in two places": (
        lambda: raw_tensor((2, 5, 5), 1, field(9, b"\0" * 200) + field(4, b"\0" * 200)), "not stored in one piece"),
    **{f"numbers of type {kind}": (
        lambda kind=kind: raw_tensor((2, 5, 5), kind, field(9, b"\0" * 50)), "is of type")
        for kind in (0, 8, 14, 15, 17, 18, 19, 20, 21, 22, 23, 99)},
    "integers of a byte each": (
        lambda: raw_tensor((1, 30_000_000), 7, field(7, b"\1" * 30_000_000)), "a constant that is stretched"),
    "sparse numbers": (lambda: raw(field(15, b"")), "sparse initializers"),
    # messages that grow when they are parsed
    "half a million imports of operators": (lambda: raw(b"") + b"\x42\0" * 490_000, "of which version"),
    "two million fields": (lambda: raw(b"") + b"\x42\0" * 2_000_000, "more than 500,000 fields"),
    "a graph of two million nodes": (lambda: raw(b"\x0a\0" * 2_000_000), "more than 20,000 nodes"),
    "a million attributes": (lambda: raw_node(b"\x2a\0" * 1_000_000), "more than 100 attributes"),
    "a node of a million inputs": (lambda: raw_node(b"\x0a\1x" * 1_000_000), "more than 262,144 bytes"),
    "an attribute of eight million integers": (
        lambda: raw_node(field(5, field(1, b"axes") + b"\xa0\1\7" + field(8, b"\1" * 8_000_000))),
        "more than 262,144 bytes"),
    "reals in attributes": (
        lambda: raw(b"".join(field(1, node("Relu", "x", "y").SerializeToString() + field(
            5, field(1, b"a") + b"\xa0\1\6" + field(7, b"\1\2\3\4" * 60_000))) for _ in range(30))),
        "'y', of an output"),
    "an input of a million axes": (
        lambda: raw(field(11, field(1, b"x") + field(2, field(1, b"\x08\1" + field(2, b"\x0a\0" * 1_000_000)))),
                    border=False), "more than 262,144 bytes"),
    "an input of a thousand axes": (
        lambda: raw(field(11, value("x", *range(1_000)).SerializeToString()), border=False), "has 1,000 axes"),
    "a type of a type of a type": (
        lambda: raw(field(11, field(1, b"x") + field(2, _sequences(1_000))), border=False), "no readable ONNX file"),
    "graphs in graphs": (lambda: raw(nested(1_000)), "If ('y') needs"),
    "groups": (lambda: b"\x0b" * 100_000, "do not fit together"),
    "two files in one": (lambda: classifier().SerializeToString() * 2, "it has 2 graphs"),
    "no nodes": (lambda: raw(b""), "nothing in the graph computes 'y'"),
    # names
    "a name of a megabyte": (lambda: changed(lambda m: m.graph.node[0].__setattr__("name", "n" * 10**6)), "bytes"),
    "a long name": (lambda: changed(lambda m: m.graph.node[0].__setattr__("name", "n" * 2_000)), "1,000 printable"),
    "a name of controls": (lambda: changed(lambda m: m.graph.node[0].__setattr__("name", "a\0\x1b[2J")), "printable"),
    "an operator of controls": (
        lambda: changed(lambda m: m.graph.node[0].__setattr__("op_type", "\x1b[2J")), "printable"),
    "a name that is not in UTF-8": (
        lambda: classifier().SerializeToString().replace(b"\x04Conv", b"\x04\xff\xfe\xfdv"), "printable"),
    "an input that is not in UTF-8": (
        lambda: raw(field(11, field(1, b"\xff")), border=False), "printable"),
    # constants of constants
    "sums of sums that a shape needs": (lambda: doubled(node("Reshape", "x s", "y")), "is made of at most 16,384"),
    "sums of sums that a constant needs": (
        lambda: doubled(node("Neg", "s", "n"), node("Reshape", "x n", "y")), "is made of at most 16,384"),
    "the greatest of a hundred": (
        lambda: model(node("Max", "b " * 100, "w"), node("Add", "x w", "z"), node("Flatten", "z", "y"),
                      weights=(stored("b", np.ones((1_000, 1_000))),), x=value("x", "N", 1, 1_000, 1_000)), ""),
    "differences of truths": (
        lambda: on_map(node("Sub", "b b", "c"), node("Cast", "c", "w", to=1),
                       weights=(stored("b", np.ones((70, 70)), np.bool_),)), "the shift of 'z' cannot be computed"),
    "powers below 0 of integers": (
        lambda: on_map(node("Pow", "a b", "c"), node("Cast", "c", "w", to=1),
                       weights=(stored("a", np.full((70, 70), 2), np.int64),
                                stored("b", np.full((70, 70), -1), np.int64))), "the shift of 'z' cannot be computed"),
    "many scales after one another": (
        lambda: model(*chain(150, "Mul", "w"), weights=(stored("w", np.ones((70, 70))),),
                      x=value("x", "N", 1, 70, 70)), ""),
    "a constant of no numbers": (
        lambda: model(node("ConstantOfShape", "s", "w"), node("Conv", "x w", "y"),
                      weights=(integers("s", 0, HUGE, HUGE, HUGE),)), "ConstantOfShape"),
    "a constant of 2^62 numbers": (
        lambda: model(node("ConstantOfShape", "s", "w"), node("Conv", "x w", "y"),
                      weights=(integers("s", HUGE, 2, 3, 3),)), "at most 150,000,000 are allowed"),
    # operators on what depends on the picture
    "a shape of thousands of axes": (
        lambda: model(node("Reshape", "x s", "t0"),
                      *(node("Identity", f"t{n}", f"t{n + 1}" if n < MANY - 6 else "y") for n in range(MANY - 5)),
                      weights=(integers("s", -1, *(1,) * 4_000),)), "at most 8 axes"),
    "thousands of new axes": (
        lambda: model(*(node("Unsqueeze", "x s", f"t{step}") for step in range(MANY - 5)),
                      node("Sum", " ".join(f"t{step}" for step in range(MANY - 5)), "y"),
                      weights=(integers("s", *range(4_096)),)), "and 297 more"),
    "an axis twice": (
        lambda: model(node("Unsqueeze", "x s", "z"), node("Flatten", "z", "y"), weights=(integers("s", 1, 1),)),
        "each axis once and not [1, 1]"),
    "a map that is stretched": (
        lambda: pooled("Resize", "x  s".replace("  ", " r "), stored("r", []), stored("s", [1, 1, 1e9, 1e9])),
        "Resize"),
    "a map that is repeated": (lambda: pooled("Tile", "x s", integers("s", 1, 2**40, 1, 1)), "Tile"),
    "a map that is expanded": (lambda: pooled("Expand", "x s", integers("s", 1, 2, 2**40, 5)), "Expand"),
    "a map that is padded": (lambda: pooled("Pad", "x s", integers("s", 0, 0, HUGE, HUGE, 0, 0, HUGE, HUGE)), "Pad"),
    "a window of 2^40": (
        lambda: pooled("MaxPool", "x", kernel_shape=[2**40] * 2, pads=[2**40] * 4), "MaxPool"),
    "2^62 parts": (
        lambda: model(node("Split", "x", "a b", axis=1, num_outputs=HUGE), node("Flatten", "a", "y"), opset=18),
        "2 parts, as many as it has outputs, and not 4611686018427387904"),
    "indices of every picture that grow": (lambda: _counting(*(4_096,) * 3), "at most 1,048,576 numbers of each"),
    "indices of more numbers than there are": (lambda: _counting(4), "in the order in which they are"),
    "steps of 2^62": (
        lambda: pooled("Conv", "x w", stored("w", np.ones((2, 2, 3, 3))), strides=[HUGE, -HUGE], dilations=[HUGE, 0]),
        "Conv"),
    "channels doubled 60 times": (
        lambda: model(*[node("Concat", f"t{n} t{n}" if n else "x x", f"t{n + 1}", axis=1) for n in range(60)],
                      node("GlobalAveragePool", "t60", "p"), node("Flatten", "p", "y")),
        "more than 1,099,511,627,776 numbers"),
    "sides doubled 60 times": (
        lambda: model(*chain(60, "Resize", "r s", node("GlobalAveragePool", "t60", "p"), node("Flatten", "p", "y")),
                      weights=(stored("r", []), stored("s", [1, 1, 2, 2]))), "more than 1,099,511,627,776 numbers"),
    # many nodes
    "many that change nothing": (lambda: model(*chain(MANY, "Identity")), ""),
    "many orders of axes": (lambda: model(*chain(MANY, "Transpose", perm=[0, 2, 3, 1])), ""),
    "many products": (
        lambda: model(*[node("Mul", f"t{n} t{n}" if n else "x x", f"t{n + 1}") for n in range(MANY)],
                      node("Flatten", f"t{MANY}", "y")), "more than 10,000 layers"),
    "many that are nearly Gelu": (
        lambda: model(*[each for n in range(MANY // 3) for each in (
            node("Add", f"t{n} one" if n else "x one", f"a{n}"), node("Mul", f"half a{n}", f"b{n}"),
            node("Mul", f"b{n} b{n}", f"t{n + 1}"))], node("Flatten", f"t{MANY // 3}", "y"),
            weights=(stored("half", 0.5), stored("one", 1))), "more than 10,000 layers"),
    "many weights": (
        lambda: model(node("Flatten", "x", "y"), weights=tuple(stored(f"w{n}", [0]) for n in range(MANY))), ""),
    "more nodes than are read": (lambda: model(*chain(100_000, "Identity")), "more than 20,000 nodes"),
    # borders
    "two inputs": (lambda: changed(lambda m: m.graph.input.append(value("z", 1))), "has 2 inputs"),
    "no output": (lambda: changed(lambda m: m.graph.ClearField("output")), "has 0 outputs"),
    "many outputs": (lambda: raw(b"".join(field(12, field(1, b"%d" % n)) for n in range(MANY))), "19991 outputs"),
    "an input that is one number": (lambda: model(node("Relu", "x", "y"), x=value("x")), "has the shape []"),
    "batches on axis 1": (
        lambda: model(node("Transpose", "x", "t", perm=[1, 0, 2, 3]), node("Flatten", "t", "y")),
        "the batch on another axis than 0"),
    "operators of no version": (lambda: changed(lambda m: m.opset_import[0].__setattr__("version", 0)), "version 0"),
    "operators of two versions": (
        lambda: changed(lambda m: m.opset_import.append(helper.make_opsetid("", 17))), "of which version"),
    "operators of others": (
        lambda: changed(lambda m: m.graph.node[1].__setattr__("domain", "com.example")), "operators of 'com.example'"),
    "a function that calls itself": (lambda: changed(_with_function), "operators of 'own'"),
    # metadata
    "hundreds of thousands of classes": (
        lambda: with_metadata(classes=json.dumps([f"c{n}" for n in range(300_000)])), "metadata"),
    "millions of empty records": (lambda: with_metadata(classes=f"[{'{},' * 2_000_000}0]"), "metadata"),
    "classes in lists in lists": (lambda: with_metadata(classes="[" * 100_000), "metadata"),
    "a mean of 10^400": (lambda: preprocessing("1" + "0" * 400), "metadata"),
    "a mean of 1e400": (lambda: preprocessing("1e400"), "metadata"),
    "a mean that is no number": (lambda: preprocessing("NaN"), "metadata"),
    "a mean of many digits": (lambda: preprocessing("1" * 5_000), "metadata"),
    "classes that are not text": (lambda: with_metadata(classes="[1, 2, 3]"), "metadata"),
}  # fmt: skip
"""Files by what they are, and what the refusal says; nothing for what is read."""


def _counting(*sizes: int) -> ModelProto:
    """Return a file that gathers the numbers of a large picture by sums of constants along axes of these sizes."""
    rows = [integers(f"c{at}", *range(size)) for at, size in enumerate(sizes)]
    shapes = [
        integers(f"s{at}", *(1,) * (at + 1), -1, *(1,) * (len(sizes) - at - 1)) for at in range(len(sizes))
    ]
    return model(
        node("Shape", "x", "shape"), node("Gather", "shape zero", "n"), node("Range", "zero n one", "t"),
        node("Mul", "t count", "many"), node("Unsqueeze", "many axes", "k0"),
        *(node("Reshape", f"c{at} s{at}", f"r{at}") for at in range(len(sizes))),
        *(node("Add", f"k{at} r{at}", f"k{at + 1}") for at in range(len(sizes))),
        node("Reshape", "x flat", "row"), node("Gather", f"row k{len(sizes)}", "z"), node("Flatten", "z", "y"),
        weights=(*rows, *shapes, stored("zero", 0, np.int64), stored("one", 1, np.int64),
                 stored("count", 3 * 16_384 * 16_384, np.int64), integers("axes", *range(1, len(sizes) + 1)),
                 integers("flat", -1)),
        x=value("x", "N", 3, 16_384, 16_384),
    )  # fmt: skip


def _sequences(depth: int) -> bytes:
    kind = b""
    for _ in range(depth):
        kind = field(4, field(1, kind))
    return kind


def _with_function(changing: ModelProto) -> None:
    function = helper.make_function(
        "own", "F", ["a"], ["b"], [helper.make_node("F", ["a"], ["b"], domain="own")], changing.opset_import
    )
    changing.functions.append(function)
    changing.opset_import.append(helper.make_opsetid("own", 1))
    changing.graph.node[1].op_type, changing.graph.node[1].domain = "F", "own"
