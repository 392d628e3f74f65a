"""What is exported computes the same in ONNX Runtime: every layer and block there is, presets, networks by chance."""

from __future__ import annotations

import json
from typing import Any, get_args

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from engine.arrays import Array
from engine.errors import EngineError, LimitError
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.graph.operation import Operation
from engine.inputs.preprocessing import Preprocessing
from engine.layers import LAYERS, AnyLayer, Context, Example, LayerRecord
from engine.model.inference import Predictor
from engine.model.model_file import Model
from engine.model.onnx_format import write
from engine.model.onnx_format.write import OnnxFile, export_model, export_network
from engine.ops.interpolation import Coordinates, Rounding
from engine.presets import PRESETS, Preset
from engine.recipe.losses import LOSSES, AnyLoss, Loss

PARSE = TypeAdapter(AnyLayer)
CASES = [
    pytest.param(example, id=f"{kind.tag()}-{number}")
    for kind in LAYERS
    for number, example in enumerate(kind.examples)
]
TOLERANCE = 1e-5
BATCHES = (1, 3)


def session(file: OnnxFile) -> onnxruntime.InferenceSession:
    """Check a file as the library of ONNX does, and open it."""
    content = b"".join(file.pieces())
    assert len(content) == len(file)
    onnx.checker.check_model(content, full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def drawn(network: Network, draw: np.random.Generator) -> dict[str, Array]:
    """Draw weights of which none is 0 or 1, as initial biases and scales are, and the outputs stay near 1."""
    weights = {}
    for name, spec in network.weight_specs.items():
        numbers = draw.standard_normal(spec.shape).astype(np.float32)
        if spec.role == "statistic":
            numbers = np.abs(numbers) + np.float32(0.5)
        elif len(spec.shape) > 1:
            numbers *= np.float32(1 / np.sqrt(np.prod(spec.shape[:-1])))
        weights[name] = numbers
    return weights


def compare(network: Network, seed: int, tolerance: float = TOLERANCE) -> None:
    """Compute batches by the plain executor and by ONNX Runtime."""
    draw = np.random.default_rng(seed)
    weights = drawn(network, draw)
    theirs = session(export_network(network, weights))
    for count in BATCHES:
        x = draw.standard_normal((count, *network.input_shape)).astype(np.float32)
        wanted = network.forward(weights, x, Context()).output
        (found,) = theirs.run(None, {"input": np.moveaxis(x, -1, 1)})
        assert found.dtype == np.float32
        scale = max(1.0, float(np.abs(wanted).max()))
        np.testing.assert_allclose(np.moveaxis(found, 1, -1) / scale, wanted / scale, atol=tolerance, rtol=0)


@pytest.mark.parametrize("example", CASES)
def test_a_layer_computes_the_same_in_onnx_runtime(example: Example) -> None:
    compare(Operation.build(PARSE.validate_python(example.layer), example.inputs).network, 3)


def layer(kind: str, **hyperparameters: Any) -> LayerRecord:
    return PARSE.validate_python({"type": kind, **hyperparameters})


@pytest.mark.parametrize(
    ("record", "shape"),
    [
        (layer("local_response_norm", size=4, alpha=0.3), (2, 3, 7)),
        (layer("local_response_norm", size=9, alpha=0.3), (2, 3, 4)),
        (layer("local_response_norm", size=3, alpha=0.3), (6,)),
        (layer("local_response_norm", size=2, alpha=0.3), (6,)),
        (layer("layer_norm", over="picture", affine=False), (2, 3, 4)),
        (layer("group_norm", groups=4), (2, 3, 4)),
        (layer("flatten"), (1, 1, 5)),
        (layer("flatten"), (3, 2, 1)),
        (layer("reshape", shape=[4, 3, 2]), (2, 3, 4)),
        (layer("average_pool2d", pool_size=3, stride=2, ceil_mode=True, padding=[[1, 0], [0, 2]]), (7, 6, 2)),
        (
            layer(
                "average_pool2d", pool_size=3, ceil_mode=True, padding=[[1, 0], [0, 2]], count_padding=True
            ),
            (7, 6, 2),
        ),
        (
            layer("max_pool2d", pool_size=[4, 3], stride=3, ceil_mode=True, padding=[[1, 2], [2, 0]]),
            (9, 8, 2),
        ),
        (layer("transposed_conv2d", filters=3, kernel_size=1, stride=3, padding="same"), (3, 2, 2)),
        (
            layer("transposed_conv2d", filters=3, stride=2, padding=[[0, 2], [1, 0]], output_padding=1),
            (4, 3, 2),
        ),
        (layer("upsample2d", factor=[3, 2], mode="nearest"), (3, 2, 4)),
        (layer("upsample2d", factor=[0.7, 1.3], mode="bilinear"), (10, 7, 2)),
        (layer("upsample2d", size=[7, 3], mode="bicubic", exclude_outside=True), (5, 8, 2)),
        (layer("upsample2d", size=[3, 7], coordinates="align_corners", rounding="ceil"), (7, 4, 2)),
        (layer("upsample2d", factor=0.6, mode="bicubic", coordinates="half_pixel_symmetric"), (7, 5, 2)),
        (layer("adaptive_average_pool2d", output_size=[2, 1]), (6, 3, 2)),
        (layer("clip", minimum=None, maximum=None), (2, 3, 2)),
        (layer("upsample2d", factor=[4, 3], mode="bilinear"), (3, 5, 2)),
    ],
    ids=lambda value: value.type if isinstance(value, LayerRecord) else "x".join(map(str, value)),
)
def test_so_does_one_whose_options_onnx_has_not(record: LayerRecord, shape: tuple[int, ...]) -> None:
    compare(Operation.build(record, [shape]).network, 5)


def sizes() -> list[Any]:
    """Return the presets at the smallest pictures that they take; those with many weights are slow."""
    return [
        pytest.param(
            one,
            id=one.name,
            marks=[pytest.mark.slow] if Network.build(one.architecture()).parameters > 15e6 else [],
        )
        for one in PRESETS
    ]


@pytest.mark.parametrize("preset", sizes())
def test_a_preset_computes_the_same_in_onnx_runtime(preset: Preset) -> None:
    side = max(preset.smallest, 32)
    compare(Network.build(preset.architecture((side, side + 3, 3), 7)), 1, tolerance=1e-4)


small = st.integers(1, 3)
sides = st.tuples(st.tuples(small, small), st.tuples(small, small))
activations = st.sampled_from(
    [None, "relu", "gelu", "silu", "hard_swish", "elu", "tanh", "clip", "hard_sigmoid", "erf"]
)
pairs = st.tuples(small, small)


def record(kind: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"type": st.just(kind)}, optional=fields)


def chosen(kind: str, *, always: dict[str, st.SearchStrategy[Any]], **fields: st.SearchStrategy[Any]) -> Any:
    return st.fixed_dictionaries({"type": st.just(kind), **always}, optional=fields)


kept = st.tuples(
    st.none() | st.integers(-2, 2), st.none() | st.integers(-2, 2), st.sampled_from([-2, -1, 1, 2])
)

padding = st.one_of(st.sampled_from(["valid", "same"]), sides)
convolution = {
    "kernel_size": pairs,
    "stride": pairs,
    "padding": padding,
    "dilation": pairs,
    "bias": st.booleans(),
    "activation": activations,
}
pool = {
    "pool_size": pairs,
    "stride": pairs,
    "padding": padding,
    "dilation": pairs,
    "ceil_mode": st.booleans(),
}
simple = st.one_of(
    chosen(
        "conv2d",
        always={"filters": st.sampled_from([1, 2, 4, 6])},
        groups=st.sampled_from([1, 2]),
        **convolution,
    ),
    record("depthwise_conv2d", multiplier=small, **convolution),
    chosen(
        "transposed_conv2d",
        always={"filters": st.sampled_from([2, 4])},
        groups=st.sampled_from([1, 2]),
        **convolution,
    ),
    record("max_pool2d", **pool),
    record("average_pool2d", count_padding=st.booleans(), **pool),
    record("adaptive_average_pool2d", output_size=pairs),
    record(
        "upsample2d",
        factor=st.tuples(*[st.sampled_from([1, 2, 3, 0.5, 0.7, 1.3])] * 2),
        size=st.none() | pairs,
        mode=st.sampled_from(["nearest", "bilinear", "bicubic"]),
        coordinates=st.sampled_from(get_args(Coordinates)),
        rounding=st.sampled_from(get_args(Rounding)),
        exclude_outside=st.booleans(),
        antialias=st.booleans(),
    ),
    chosen(
        "pad2d",
        always={"padding": sides},
        mode=st.sampled_from(["constant", "reflect", "replicate", "wrap"]),
        value=st.sampled_from([0.0, 0.75]),
    ),
    record("batch_norm", activation=activations),
    record("layer_norm", over=st.sampled_from(["channels", "picture"]), affine=st.booleans()),
    record("group_norm", groups=st.sampled_from([1, 2]), affine=st.booleans()),
    record("local_response_norm", size=st.integers(1, 6)),
    record("prelu", shared=st.booleans(), per_pixel=st.booleans()),
    record("affine", shared=st.booleans(), per_pixel=st.booleans(), activation=activations),
    chosen("channel_shuffle", always={"groups": small}),
    record("slice", rows=kept, columns=kept, channels=kept),
    record("dropout"),
    record("flatten"),
    record("global_average_pool2d"),
    record("global_max_pool2d"),
    chosen("dense", always={"units": st.integers(1, 12)}, activation=activations),
    st.sampled_from(
        [{"type": "reshape", "shape": shape} for shape in ([2, 3, 2], [3, 1, 4], [12], [4, 3, 1])]
    ),
    st.sampled_from([{"type": "softmax"}, {"type": "squeeze_and_excitation", "reduction": 2}]),
)
blocks = st.one_of(
    simple,
    st.lists(simple, min_size=1, max_size=2).map(
        lambda layers: {"type": "residual", "layers": layers, "shortcut": "projection"}
    ),
    st.lists(simple, min_size=1, max_size=2).map(
        lambda layers: {"type": "parallel", "branches": [layers, [{"type": "batch_norm"}]]}
    ),
)


@settings(max_examples=60, derandomize=True)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4)),
    candidates=st.lists(blocks, min_size=3, max_size=8),
    seed=st.integers(0, 2**16),
)
def test_a_network_by_chance_computes_the_same_in_onnx_runtime(
    shape: tuple[int, int, int], candidates: list[dict[str, Any]], seed: int
) -> None:
    network, layers = None, []
    for candidate in candidates:
        try:
            built = Network.build(
                Architecture.model_validate({"input_shape": shape, "layers": [*layers, candidate]})
            )
        except (EngineError, ValueError):
            continue
        network, layers = built, [*layers, candidate]
    if network is not None:
        compare(network, seed, tolerance=1e-4)


PREPROCESSING = Preprocessing(mean=(0.4, 0.5, 0.3), deviation=(0.2, 0.3, 0.25))
# Names that the file has for its input and output, and a final link that the loss takes over.
LAYERS_OF_MODEL = [
    {"type": "conv2d", "filters": 4, "name": "pixels", "activation": "relu"},
    {"type": "max_pool2d"},
    {"type": "flatten"},
    {"type": "dense", "units": 3, "name": "predictions"},
]


def model(loss: Loss, *last: dict[str, str]) -> Model:
    architecture = Architecture.model_validate(
        {"input_shape": (9, 8, 3), "layers": [*LAYERS_OF_MODEL, *last]}
    )
    weights = drawn(Network.build(architecture), np.random.default_rng(2))
    target = loss.targets[-1]
    picture = {"image_size": [9, 8], "channels": 3, "fit": "stretch"}
    return Model(
        architecture, ("cat", "dög", "cow"), PREPROCESSING, loss, weights, {"picture": picture}, target
    )


@pytest.mark.parametrize("last", [(), ({"type": "softmax"},)], ids=["scores", "softmax"])
@pytest.mark.parametrize("inside", [False, True], ids=["prepared outside", "prepared inside"])
@pytest.mark.parametrize("kind", LOSSES, ids=lambda kind: kind.tag())
def test_a_model_predicts_the_same_in_onnx_runtime(
    kind: type[Loss], inside: bool, last: tuple[dict[str, str], ...]
) -> None:
    whole = model(TypeAdapter(AnyLoss).validate_python(kind.examples[0]), *last)
    theirs = session(export_model(whole, preprocessing_inside=inside))
    for count in BATCHES:
        pictures = np.random.default_rng(count).integers(0, 256, (count, 9, 8, 3), np.uint8)
        prepared = np.moveaxis(PREPROCESSING.apply(pictures), -1, 1)
        given_ = {"pixels": pictures} if inside else {"input": prepared}
        (found,) = theirs.run(["predictions"], given_)
        np.testing.assert_allclose(found, Predictor(whole).predict(pictures), atol=TOLERANCE)


def test_the_file_says_what_is_needed_beside_the_graph() -> None:
    whole = model(TypeAdapter(AnyLoss).validate_python({"type": "softmax_cross_entropy"}))
    for inside in (False, True):
        opened = session(export_model(whole, preprocessing_inside=inside))
        said = {key: json.loads(text) for key, text in opened.get_modelmeta().custom_metadata_map.items()}
        assert said == {
            "classes": ["cat", "dög", "cow"],
            "target": "class",
            "preprocessing": {
                "inside": inside,
                "mean": [0.4, 0.5, 0.3],
                "deviation": [0.2, 0.3, 0.25],
                "picture": whole.metadata["picture"],
            },
        }
        (source,) = opened.get_inputs()
        (output,) = opened.get_outputs()
        wanted = (
            ("pixels", "tensor(uint8)", ["N", 9, 8, 3])
            if inside
            else ("input", "tensor(float)", ["N", 3, 9, 8])
        )
        assert (source.name, source.type, source.shape) == wanted
        assert (output.name, output.type, output.shape) == ("predictions", "tensor(float)", ["N", 3])


def test_weights_have_their_full_names_and_the_order_of_onnx() -> None:
    whole = model(TypeAdapter(AnyLoss).validate_python({"type": "softmax_cross_entropy"}))
    graph = onnx.load_model_from_string(b"".join(export_model(whole).pieces())).graph
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    assert set(whole.weights) <= set(stored)
    np.testing.assert_array_equal(
        stored["pixels/weight"], whole.weights["pixels/weight"].transpose(3, 2, 0, 1)
    )
    np.testing.assert_array_equal(stored["predictions/weight"], whole.weights["predictions/weight"])


def test_equal_models_give_equal_files() -> None:
    loss = TypeAdapter(AnyLoss).validate_python({"type": "softmax_cross_entropy"})
    first, second = (b"".join(export_model(model(loss)).pieces()) for _ in range(2))
    assert first == second


def test_what_no_such_file_can_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "MAX_BYTES", 500)
    with pytest.raises(LimitError, match="an ONNX file holds at most 500") as refused:
        export_model(model(TypeAdapter(AnyLoss).validate_python({"type": "softmax_cross_entropy"})))
    assert "safetensors" in str(refused.value.hint)


def test_a_large_weight_comes_in_small_pieces() -> None:
    network = Network.build(
        Architecture.model_validate(
            {"input_shape": (20, 20, 1), "layers": [{"type": "flatten"}, {"type": "dense", "units": 1000}]}
        )
    )
    file = export_network(network, network.initial_weights(0))
    pieces = [len(piece) for piece in file.pieces()]
    assert sum(pieces) == len(file) > 400 * 1000 * 4
    assert max(pieces) == 2**20
