"""Single layers over HTTP: every layer against the engine, and what is refused."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from pydantic import TypeAdapter

from app.cli.launch import ServerProcess
from app.operations.examples import VERTICAL_EDGE, of_layer
from engine.graph.operation import Operation
from engine.layers import LAYERS, AnyLayer, Context, Example, LayerRecord
from engine.layers.convolution import Conv2D

PARSE: TypeAdapter[Any] = TypeAdapter(AnyLayer)
CASES = [
    pytest.param(kind, example, id=f"{kind.tag()}-{number}")
    for kind in LAYERS
    for number, example in enumerate(kind.examples)
]


def call(http: httpx.Client, operation: str, **body: Any) -> dict[str, Any]:
    answer = http.post(f"/v1/operations/{operation}", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def drawn(shape: tuple[int, ...], seed: int = 3) -> np.ndarray:
    """Return numbers that are all different, and none of which is 0."""
    values = np.linspace(-1, 1, int(np.prod(shape))) + 0.0005
    return np.random.default_rng(seed).permutation(values).reshape(shape)


@pytest.mark.parametrize(("kind", "given"), CASES)
def test_every_layer_answers_what_the_engine_computes(
    http: httpx.Client, kind: type[LayerRecord], given: Example
) -> None:
    operation = Operation.build(PARSE.validate_python(given.layer), given.inputs)
    xs = [drawn(shape, seed) for seed, shape in enumerate(given.inputs)]
    weights = operation.initial_weights(5, np.float64)
    expected, dxs, dweights = operation.gradients(weights, xs, drawn(operation.output_shape), Context())
    body: dict[str, Any] = {
        "layer": {name: value for name, value in given.layer.items() if name != "type"},
        "weights": {"seed": 5},
        "output_gradient": drawn(operation.output_shape).tolist(),
        "trace": True,
    }
    body |= {"input": xs[0].tolist()} if len(xs) == 1 else {"inputs": [x.tolist() for x in xs]}
    answer = call(http, kind.tag(), **body)
    np.testing.assert_allclose(answer["output"], expected, rtol=1e-12)
    assert answer["output_shape"] == list(operation.output_shape)
    assert set(answer["weights"]) == set(weights)
    for name, array in weights.items():
        np.testing.assert_array_equal(answer["weights"][name], array)
    for found, dx in zip(answer["gradients"]["inputs"], dxs, strict=True):
        np.testing.assert_allclose(found, dx, rtol=1e-12)
    for name, dweight in dweights.items():
        np.testing.assert_allclose(answer["gradients"]["weights"][name], dweight, rtol=1e-12)
    checked = answer["gradients"]["numeric_check"]
    assert checked["largest_difference"] < 1e-6
    assert checked["entries"] > checked["kinks"]
    # what was drawn and shown, sent back, gives the same
    again = call(http, kind.tag(), **(body | {"weights": answer["weights"]}))
    assert again["output"] == answer["output"]
    assert answer["trace_total"] == expected.size
    assert len(answer["trace"]) == min(64, expected.size)
    for trace in answer["trace"]:
        number = expected[tuple(trace["position"])]
        shown = trace["through"] or trace
        np.testing.assert_allclose(shown["output"], number, rtol=1e-9, atol=1e-12)


def test_the_statistics_of_a_batch_can_be_those_that_are_used(http: httpx.Client) -> None:
    body = {"input": [[[1.0], [3.0]]], "layer": {"epsilon": 1e-12}}
    assert call(http, "batch_norm", **body)["output"] == pytest.approx(np.array([[[1.0], [3.0]]]))
    assert call(http, "batch_norm", **body, statistics="batch")["output"] == pytest.approx(
        np.array([[[-1.0], [1.0]]])
    )


def test_numbers_that_overflow_are_null(http: httpx.Client) -> None:
    body = {"input": [1e308, 1], "layer": {"units": 1}, "weights": {"weight": [10, 1]}}
    assert call(http, "dense", **body)["output"] == [None]


def test_arrays_for_numpy(http: httpx.Client) -> None:
    body = of_layer(Conv2D)["gradients"]
    answer = http.post("/v1/operations/conv2d", json=body, headers={"Accept": "application/x-npz"})
    assert answer.headers["content-type"] == "application/x-npz"
    shown = call(http, "conv2d", **body)
    with np.load(io.BytesIO(answer.content), allow_pickle=False) as arrays:
        assert set(arrays) == {
            "output",
            "weights/weight",
            "weights/bias",
            "gradients/inputs/0",
            "gradients/weights/weight",
            "gradients/weights/bias",
        }
        assert arrays["output"].tolist() == shown["output"]
        assert arrays["gradients/inputs/0"].tolist() == shown["gradients"]["inputs"][0]


def test_what_is_too_long_for_json_comes_as_a_file(http: httpx.Client) -> None:
    body = {"input": [[1.0, 2.0]], "layer": {"factor": 300}}
    refused = http.post("/v1/operations/upsample2d", json=body)
    assert refused.status_code == 413
    assert "application/x-npz" in refused.json()["detail"]
    answer = http.post("/v1/operations/upsample2d", json=body, headers={"Accept": "application/x-npz"})
    with np.load(io.BytesIO(answer.content), allow_pickle=False) as arrays:
        assert arrays["output"].shape == (300, 600)


MAP = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]


@pytest.mark.parametrize(
    ("operation", "body", "status", "pointer", "words"),
    [
        ("relu", {"input": [[1, 2], [3]]}, 422, "/input/1", "a list of 1 beside lists of 2"),
        ("relu", {"input": [[1, 2], 3]}, 422, "/input/1", "3 beside lists"),
        ("relu", {"input": [1, [2]]}, 422, "/input/1", "a list beside numbers"),
        ("relu", {"input": [1, None]}, 422, "/input/1", "no number"),
        ("relu", {"input": [1, "2"]}, 422, "/input/1", "no number"),
        ("relu", {"input": [True]}, 422, "/input/0", "no number"),
        ("relu", {"input": [1, 10**400]}, 422, "/input/1", "beyond the range"),
        ("relu", {"input": []}, 422, "/input", "empty"),
        ("relu", {"input": [[], []]}, 422, "/input/0", "empty"),
        ("relu", {"input": [[[[1]]]]}, 422, "/input", "nested"),
        ("relu", {"input": 3}, 422, "/input", "list"),
        ("relu", {}, 422, "/input", "nothing to compute with"),
        ("relu", {"input": [1], "inputs": [[1]]}, 422, "/input", "both"),
        ("relu", {"inputs": [[1], [2]]}, 422, "/inputs", "takes 1 input but receives 2"),
        ("add", {"input": [1]}, 422, "/input", "takes 2 or more inputs but receives 1"),
        ("add", {"inputs": [[1], [1, 2]]}, 422, "/inputs", "inputs of one shape"),
        ("dense", {"input": MAP, "layer": {"units": 1}}, 422, "/input", "takes a vector"),
        ("conv2d", {"input": [1, 2], "layer": {"filters": 1}}, 422, "/input", "takes a map"),
        ("conv2d", {"input": MAP}, 422, "/layer/filters", "required"),
        ("conv2d", {"input": MAP, "layer": {"filters": 1, "type": "conv2d"}}, 422, "/layer/type", "no layer"),
        ("conv2d", {"input": MAP, "layer": {"filters": 1, "name": "a"}}, 422, "/layer/name", "no layer"),
        ("conv2d", {"input": MAP, "layer": {"filters": 1, "kernel": 3}}, 422, "/layer/kernel", "no key"),
        (
            "conv2d",
            {"input": MAP, "layer": {"filters": 1, "kernel_size": 4}},
            422,
            "/layer/kernel_size",
            "fit",
        ),
        (
            "conv2d",
            {"input": MAP, "layer": {"filters": 1, "stride": 0}},
            422,
            "/layer/stride",
            "does not move",
        ),
        ("conv2d", {"input": MAP, "kernel_size": 3}, 422, "/kernel_size", "no key"),
        (
            "conv2d",
            {"input": MAP, "layer": {"filters": 1}, "weights": {"kernel": [1]}},
            422,
            "/weights/kernel",
            "no weight",
        ),
        (
            "conv2d",
            {"input": MAP, "layer": {"filters": 2}, "weights": {"weight": VERTICAL_EDGE}},
            422,
            "/weights/weight",
            "(3, 3) where (3, 3, 1, 2)",
        ),
        ("relu", {"input": [1], "weights": {"slope": 1}}, 422, "/weights/slope", "no weight"),
        (
            "relu",
            {"input": [1], "output_gradient": [1, 2]},
            422,
            "/output_gradient",
            "(2,) where the output is (1,)",
        ),
        (
            "relu",
            {"input": [1], "trace": {"positions": [[1]]}},
            422,
            "/trace/positions/0",
            "no number at [1]",
        ),
        (
            "relu",
            {"input": MAP, "trace": {"positions": [[0, 0], [0]]}},
            422,
            "/trace/positions/1",
            "no number",
        ),
        ("relu", {"input": [1], "trace": True, "statistics": "batch"}, 422, "/trace", "inference"),
        (
            "residual",
            {"input": MAP, "layer": {"layers": [{"type": "conv2d", "filters": 1}]}},
            422,
            "/layer/shortcut",
            "the body gives",
        ),
        (
            "residual",
            {"input": MAP, "layer": {"layers": [{"type": "conv2d", "filters": 1, "kernel_size": 9}]}},
            422,
            "/layer/layers/0/kernel_size",
            "does not fit",
        ),
        ("dense", {"input": [1], "layer": {"units": 2**31 - 1}}, 422, "/layer", "parameters"),
        ("convolve", {"input": MAP, "kernel": "vertical"}, 422, "/kernel", "no filter"),
        ("convolve", {"input": MAP, "kernel": [[1, 2], [3]]}, 422, "/kernel/1", "a list of 1"),
        ("convolve", {"input": MAP, "kernel": [[[1, 2]]]}, 422, "/kernel", "(1, 1, 2)"),
        ("convolve", {"input": [1, 2], "kernel": [[1]]}, 422, "/input", "two axes or three"),
        ("convolve", {"input": MAP, "kernel": [[1] * 4] * 4}, 422, "/kernel", "does not fit"),
        ("convolve", {"input": MAP, "kernel": [[1]], "stride": 0}, 422, "/stride", "does not move"),
        ("convolve", {"input": MAP, "kernel": [[1]], "activation": "rlu"}, 422, "/activation/type", "rlu"),
        ("convolve", {"input": MAP, "kernel": [[1]], "layer": {}}, 422, "/layer", "no key"),
        ("relu", {"input": [1], "picture": "aaaa"}, 422, "/picture", "no key"),
    ],
)
def test_faults_are_named_where_they_are(
    http: httpx.Client, operation: str, body: dict[str, Any], status: int, pointer: str, words: str
) -> None:
    answer = http.post(f"/v1/operations/{operation}", json=body)
    assert answer.status_code == status, answer.text
    (fault,) = answer.json()["errors"]
    assert fault["pointer"] == pointer
    assert words in fault["detail"]
    assert fault.get("hint") or "; use" in fault["detail"]


def test_a_trace_of_thousands_of_layers_is_refused(http: httpx.Client) -> None:
    layer = {"layers": [{"type": "gelu"}] * 5000}
    answer = http.post("/v1/operations/residual", json={"input": [1, 2], "layer": layer, "trace": True})
    assert answer.status_code == 413
    (fault,) = answer.json()["errors"]
    assert fault["pointer"] == "/trace"
    assert "fewer layers" in fault["hint"]


def test_there_is_no_other_operation(http: httpx.Client) -> None:
    answer = http.post("/v1/operations/conv3d", json={"input": MAP})
    assert answer.status_code == 404
    assert "conv2d" in answer.json()["detail"]
    assert (
        http.post("/v1/operations/relu", content=b"x", headers={"Content-Type": "text/plain"}).status_code
        == 415
    )
    assert http.get("/v1/operations/relu").status_code == 405


@pytest.mark.parametrize(
    ("operation", "layer"),
    [
        ("max_pool2d", {"pool_size": 16384, "padding": 16383, "stride": 16384}),
        ("conv2d", {"filters": 1, "kernel_size": 7000, "padding": 7000}),
        ("pad2d", {"padding": 2**31 - 1}),
        ("pad2d", {"padding": [[10**7, 0], [0, 0]], "mode": "replicate"}),
        ("upsample2d", {"factor": 16384}),
        ("conv2d", {"filters": 5_000_000, "kernel_size": 1}),
        ("transposed_conv2d", {"filters": 1, "kernel_size": 1, "stride": 16384}),
        ("dense_block", {"depth": 2**31 - 1}),
        (
            "residual",
            {
                "layers": [{"type": "max_pool2d", "pool_size": 16384, "stride": 1, "padding": "same"}] * 20,
            },
        ),
        ("residual", {"layers": [{"type": "upsample2d", "factor": 50}] * 3, "shortcut": "identity"}),
    ],
)
def test_what_would_take_too_much_is_refused_before_it_is_computed(
    http: httpx.Client, operation: str, layer: dict[str, Any]
) -> None:
    for accept in ("application/json", "application/x-npz"):
        body = {"input": np.ones((64, 64)).tolist(), "layer": layer, "output_gradient": "ones", "trace": True}
        answer = http.post(f"/v1/operations/{operation}", json=body, headers={"Accept": accept})
        assert answer.status_code in {413, 422}, answer.text
        assert answer.json()["type"] in {
            "/problems/limit-exceeded",
            "/problems/too-large",
            "/problems/shape-mismatch",
        }


def test_an_operator_sets_the_limits(start: Callable[..., ServerProcess]) -> None:
    with (
        start(MAX_OPERATION_BYTES="20000", MAX_OPERATION_STEPS="100000") as url,
        httpx.Client(base_url=url, timeout=60, trust_env=False) as client,
    ):
        assert client.post("/v1/operations/relu", json={"input": [1, 2]}).status_code == 200
        memory = client.post("/v1/operations/relu", json={"input": np.ones((40, 40)).tolist()}).json()
        assert memory["type"] == "/problems/limit-exceeded"
        assert memory["numbers"]["limit_bytes"] == 20000 < memory["numbers"]["needed_bytes"]
        steps = client.post(
            "/v1/operations/average_pool2d",
            json={"input": np.ones((9, 9)).tolist(), "layer": {"pool_size": 9}},
        ).json()
        assert steps["numbers"]["limit_steps"] == 100000 < steps["numbers"]["needed_steps"]


def test_one_call_makes_the_schemas_of_one_layer() -> None:
    program = """
from app.web.routes.operations import _layer
from app.api.requests.operations import OperationRequest
from engine.layers import LAYERS
_layer("conv2d", OperationRequest(input=[[1]], layer={"filters": 1}))
print([kind.tag() for kind in LAYERS if kind.__pydantic_complete__])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "conv2d" in done.stdout
    assert "dense" not in done.stdout
