"""Files that are damaged, or that lie, are refused in words, and nothing is allocated for them."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from engine.errors import EngineError, LimitError, ModelFileError
from engine.model.onnx_format import read
from engine.model.onnx_import.importing import Imported, import_onnx
from engine.model.onnx_import.values import builder

FLOAT = TensorProto.FLOAT
MOST = 1_000_000


def kernel(*shape: int, name: str = "w") -> TensorProto:
    return numpy_helper.from_array(np.ones(shape, np.float32), name)


def value(name: str, *shape: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, FLOAT, shape)


def node(kind: str, inputs: str, outputs: str, **attributes: object) -> NodeProto:
    return helper.make_node(kind, inputs.split(), outputs.split(), name=f"the {kind}", **attributes)


def graph(
    *nodes: NodeProto, stored: tuple[TensorProto, ...] = (), opset: int = 17, **border: onnx.ValueInfoProto
) -> ModelProto:
    made = helper.make_graph(
        nodes,
        "g",
        [border.get("x", value("x", "N", 2, 5, 5))],
        [border.get("y", value("y", "N", 3))],
        stored,
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)])


def good() -> ModelProto:
    return graph(
        node("Conv", "x w", "c", kernel_shape=[3, 3]),
        node("Relu", "c", "r"),
        node("GlobalAveragePool", "r", "p"),
        node("Flatten", "p", "y"),
        stored=(kernel(3, 2, 3, 3),),
    )


def read_bytes(content: bytes, folder: Path, external: Path | None = None) -> Imported:
    path = folder / "file.onnx"
    path.write_bytes(content)
    return import_onnx(path, external=external, max_parameters=MOST)


def refused(content: bytes, folder: Path, error: type[EngineError] = ModelFileError) -> str:
    """Return what is said; at most a few megabytes may be taken on the way."""
    tracemalloc.start()
    try:
        with pytest.raises(error) as found:
            read_bytes(content, folder)
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()
    return f"{found.value.detail} {found.value.hint or ''}"


def test_what_is_changed_below_is_a_good_file(tmp_path: Path) -> None:
    assert [layer.type for layer in read_bytes(good().SerializeToString(), tmp_path).architecture.layers] == [
        "conv2d",
        "relu",
        "global_average_pool2d",
    ]


def tensor(change: Callable[[TensorProto], None]) -> Callable[[ModelProto], None]:
    return lambda model: change(model.graph.initializer[0])


def lies(tensor: TensorProto) -> None:
    tensor.dims[0] = 2**31 - 1


def shrinks(tensor: TensorProto) -> None:
    tensor.dims[0] = 2


def goes_below_zero(tensor: TensorProto) -> None:
    tensor.dims[0] = -3


def has_many_axes(tensor: TensorProto) -> None:
    tensor.dims.extend([1] * 30)


def has_unknown_type(tensor: TensorProto) -> None:
    tensor.data_type = 77


def has_text(tensor: TensorProto) -> None:
    tensor.data_type = TensorProto.STRING


def is_stored_twice(tensor: TensorProto) -> None:
    tensor.float_data.extend([1.0] * 54)


def is_stored_as_another(tensor: TensorProto) -> None:
    tensor.ClearField("raw_data")
    tensor.int64_data.extend([1] * 54)


def is_outside(location: str) -> Callable[[TensorProto], None]:
    def change(tensor: TensorProto) -> None:
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)

    return change


def is_not_finite(tensor: TensorProto) -> None:
    tensor.raw_data = np.full((3, 2, 3, 3), np.nan, np.float32).tobytes()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (tensor(lies), "but the file holds 54"),
        (tensor(shrinks), "which is 36 numbers, but the file holds 54"),
        (tensor(goes_below_zero), "says that its shape is"),
        (tensor(has_many_axes), "says that its shape is"),
        (tensor(has_unknown_type), "is of type 77; FLOAT, "),
        (tensor(has_text), "is of type STRING"),
        (tensor(is_stored_twice), "is not stored in one piece"),
        (tensor(is_stored_as_another), "is not stored as numbers of its type are"),
        (tensor(is_outside("weights.bin")), "'weights.bin', which was not given"),
        (tensor(is_outside("../weights.bin")), "no name of a file beside this one"),
        (tensor(is_outside("/etc/passwd")), "no name of a file beside this one"),
        (tensor(is_outside("")), "no name of a file beside this one"),
        (tensor(is_not_finite), "numbers that are not finite"),
        (lambda model: model.graph.initializer.append(kernel(1)), "'w' of an initializer is empty or taken"),
        (lambda model: model.graph.node.append(node("Relu", "x", "c")), "'c', of an output of Relu 'the Relu'"),
        (lambda model: model.graph.node.append(node("Relu", "x", "w")), "'w', of an output of Relu 'the Relu'"),
        (lambda model: model.graph.node.append(node("Relu", "c", "x")), "'x', of an output of Relu 'the Relu'"),
        (lambda model: model.graph.node[1].input.__setitem__(0, "r"), "has a circle"),
        (lambda model: model.graph.node[0].input.__setitem__(0, "p"), "has a circle"),
        (lambda model: model.graph.node[1].input.__setitem__(0, "gone"), "nothing in the graph computes 'gone'"),
        (lambda model: model.graph.input.append(value("z", 1)), "has 2 inputs: x, z"),
        (lambda model: model.graph.output.append(value("c", 1)), "has 2 outputs: c, y"),
        (lambda model: model.graph.ClearField("input"), "has 0 inputs"),
        (lambda model: model.ClearField("graph"), "has 0 graphs"),
        (lambda model: model.ClearField("opset_import"), "does not say of which version"),
        (lambda model: setattr(model.opset_import[0], "version", 6), "versions 7 to"),
        (lambda model: setattr(model.opset_import[0], "version", 1000), "versions 7 to"),
        (
            lambda model: model.graph.node[0].attribute.append(helper.make_attribute("kernel_shape", [3, 3])),
            "two attributes 'kernel_shape'",
        ),
        (lambda model: model.graph.node[0].attribute[0].ints.append(3), "Conv ('the Conv') needs attributes"),
        (lambda model: setattr(model.graph.node[0].attribute[0], "f", 3.0), None),
        (lambda model: model.graph.input[0].CopyFrom(value("x", "N", 2, "H", 5)), "leaves the height of its input"),
        (lambda model: model.graph.input[0].CopyFrom(value("x", "N", 2, 2**40, 5)), "a side is at most 16,384"),
        (lambda model: model.graph.input[0].CopyFrom(value("x", "N", 7, 5, 5)), "needs real numbers"),
        (lambda model: model.graph.input[0].CopyFrom(value("x", "N", 2, 2, 2)), "window does not fit"),
        (lambda model: model.graph.input[0].type.tensor_type.__setattr__("elem_type", 7), "is int64; pictures"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_in_order_is_refused_in_words(
    change: Callable[[ModelProto], None], said: str | None, tmp_path: Path
) -> None:
    model = good()
    change(model)
    if said is None:
        read_bytes(model.SerializeToString(), tmp_path)
    else:
        assert said in refused(model.SerializeToString(), tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b"\0", b"hello", b"\x08" * 1000, b"\x7a\xff\xff\xff\xff\x0f", b"PK\3\4" * 40],
    ids=range(6),
)
def test_what_is_no_such_file_is_refused(content: bytes, tmp_path: Path) -> None:
    refused(content, tmp_path)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(at=st.integers(0, 10_000), byte=st.integers(0, 255), length=st.integers(0, 10_000))
def test_a_damaged_file_is_read_or_refused(
    at: int, byte: int, length: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(good().SerializeToString())
    content[at % len(content)] = byte
    end = length % len(content) + 1 if length % 2 else len(content)
    with suppress(EngineError):  # nothing else is raised
        read_bytes(bytes(content[:end]), tmp_path_factory.getbasetemp())


def test_more_fields_than_any_network_has_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.model.onnx_format.wire.MAX_FIELDS", 20)
    assert "more than 20 fields" in refused(good().SerializeToString(), tmp_path)


def test_a_description_longer_than_any_network_has_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "MAX_DESCRIPTION", 100)
    assert "more than 100 bytes" in refused(good().SerializeToString(), tmp_path)


def blown_up(kind: str) -> ModelProto:
    """Return a file of a few hundred bytes whose weight would take terabytes."""
    huge = numpy_helper.from_array(np.array([2**20, 2**10, 2**10, 1], np.int64), "huge")
    made = {
        "ConstantOfShape": [node("ConstantOfShape", "huge", "w")],
        "Expand": [node("Expand", "one huge", "w")],
        "Mul": [
            node("Expand", "one row", "rows"),
            node("Expand", "one column", "columns"),
            node("Mul", "rows columns", "w"),
        ],
        "Concat": [node("Concat", "one one", "w0", axis=0)]
        + [node("Concat", f"w{step} w{step}", f"w{step + 1}" if step < 40 else "w", axis=0) for step in range(41)],
        "Range": [node("Range", "zero many step", "w")],
    }  # fmt: skip
    stored = [
        huge,
        kernel(1, 1, 1, 1, name="one"),
        numpy_helper.from_array(np.array([2**20, 1, 1, 1], np.int64), "row"),
        numpy_helper.from_array(np.array([1, 2**20, 1, 1], np.int64), "column"),
        *(
            numpy_helper.from_array(np.array(each, np.float32), name)
            for name, each in (("zero", 0), ("many", 1e12), ("step", 1))
        ),
    ]  # fmt: skip
    return graph(*made[kind], node("Conv", "x w", "c"), node("Flatten", "c", "y"), stored=tuple(stored))


@pytest.mark.parametrize("kind", ["ConstantOfShape", "Expand", "Mul", "Concat", "Range"])
def test_a_small_file_does_not_become_a_large_constant(kind: str, tmp_path: Path) -> None:
    assert "at most 1,000,000 are allowed" in refused(
        blown_up(kind).SerializeToString(), tmp_path, LimitError
    )


def test_constants_that_are_made_of_one_another_take_no_time_without_end(tmp_path: Path) -> None:
    sums = [node("Add", f"w{step} w{step}", f"w{step + 1}") for step in range(60)]
    model = graph(
        *sums,
        node("Flatten", "x", "f"),
        node("MatMul", "f w60", "y"),
        stored=(kernel(50, 100, name="w0"),),
        y=value("y", "N", 100),
    )
    said = refused(model.SerializeToString(), tmp_path, LimitError)
    assert "at most 64,000,000 are here" in said
    assert "constant folding" in said


def test_nodes_of_one_name_become_layers_of_names_of_their_own(tmp_path: Path) -> None:
    relus = [helper.make_node("Elu", [f"t{step}"], [f"t{step + 1}"], name="same") for step in range(1_000)]
    relus[0].input[0], relus[-1].output[0] = "x", "t"
    imported = read_bytes(graph(*relus, node("Flatten", "t", "y")).SerializeToString(), tmp_path)
    assert [layer.name for layer in imported.architecture.layers[:3]] == ["same", "same_2", "same_3"]


def test_more_nodes_than_a_network_may_have_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builder, "MAX_NODES", 100)
    relus = [helper.make_node("Elu", [f"t{step}"], [f"t{step + 1}"]) for step in range(101)]
    relus[0].input[0] = "x"
    said = refused(graph(*relus, node("Flatten", "t101", "y")).SerializeToString(), tmp_path, LimitError)
    assert "more than 100 layers" in said


def test_stored_weights_count_before_any_is_read(tmp_path: Path) -> None:
    large = kernel(1_000_001)
    content = graph(
        node("Add", "x w", "y"), stored=(large,), x=value("x", "N", 1000, 1001)
    ).SerializeToString()
    path = tmp_path / "file.onnx"
    path.write_bytes(content)
    with pytest.raises(LimitError, match="1,000,001 numbers or more"):
        import_onnx(path, max_parameters=MOST)


def test_all_that_is_missing_is_listed(tmp_path: Path) -> None:
    model = graph(
        node("Det", "x", "a"),
        node("Relu", "a", "b"),
        node("Gelu", "x", "c"),
        node("Add", "b c", "d"),
        helper.make_node("Fancy", ["d"], ["y"], name="own", domain="com.example"),
    )
    said = refused(model.SerializeToString(), tmp_path)
    assert "Det ('the Det') needs a layer that computes it, and there is none here" in said
    assert "Gelu ('the Gelu') needs version 20" in said
    assert "Fancy ('own') needs the operators of 'com.example'" in said
    assert "Relu" not in said


def outside(folder: Path, **entries: str) -> tuple[bytes, Path]:
    """Return a file whose weight is in a second one, which has 8 bytes before it."""
    model = good()
    stored = model.graph.initializer[0]
    numbers = stored.raw_data
    is_outside("weights.bin")(stored)
    for key, each in entries.items():
        stored.external_data.add(key=key, value=each)
    path = folder / "any name"
    path.write_bytes(b"\1" * 8 + numbers)
    return model.SerializeToString(), path


def test_a_second_file_holds_weights(tmp_path: Path) -> None:
    content, second = outside(tmp_path, offset="8", length="216")
    (weight,) = read_bytes(content, tmp_path, second).weights.values()
    np.testing.assert_array_equal(weight, np.ones((3, 3, 2, 3), np.float32))


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"offset": "16", "length": "216"}, "bytes 16 to 232 of a file that has 224"),
        ({"offset": "8", "length": "200"}, "but the file holds 50"),
        ({"offset": "-8", "length": "216"}, "bytes -8 to 208"),
        ({"offset": "nine"}, "does not say in numbers"),
        ({"offset": "9999999999999999999999", "length": "1"}, "of a file that has 224"),
    ],
)
def test_a_place_in_a_second_file_that_does_not_fit_is_refused(
    entries: dict[str, str], said: str, tmp_path: Path
) -> None:
    content, second = outside(tmp_path, **entries)
    with pytest.raises(ModelFileError, match=said):
        read_bytes(content, tmp_path, second)
