"""Every part that the catalog lists is explained, and its example runs as it is listed."""

from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest

from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.training.loop import TrainingConfig, TrainingData, train

CATALOG = "/v1/catalog"
CLASSES = 3
SHAPE = (16, 16, 3)
NETWORK = [
    {"type": "conv2d", "filters": 4, "kernel_size": 3, "activation": "relu"},
    {"type": "global_average_pool2d"},
    {"type": "dense", "units": CLASSES},
]


class Pictures:
    """A few pictures of noise, of classes in turn."""

    def __len__(self) -> int:
        return 12

    def read(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        images = np.random.default_rng(0).integers(0, 256, (len(self), *SHAPE), np.uint8)
        return images[indices], np.arange(len(self))[indices] % CLASSES


def step(**part: Any) -> None:
    """Take one step of training with a part, and see the weights move."""
    config = TrainingConfig.model_validate({"epochs": 2, "batch_size": 6, **part})
    network = Network.build(Architecture.model_validate({"input_shape": SHAPE, "layers": NETWORK}))
    pictures = Pictures()
    data = TrainingData(pictures, pictures, pictures, ("a", "b", "c"), SHAPE)
    before = network.initial_weights(config.seed)
    progress = next(train(network, config, data))
    after = progress.state.weights
    assert progress.kind == "step"
    assert all(np.isfinite(array).all() for array in after.values())
    assert any(not np.array_equal(before[name], after[name]) for name in before)


def summarize(http: httpx.Client, layers: list[dict[str, Any]], input_shape: list[int]) -> dict[str, Any]:
    answer = http.post("/v1/architectures/summary", json={"input_shape": input_shape, "layers": layers})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def build_layer(http: httpx.Client, entry: dict[str, Any]) -> None:
    """Build a network in which the layer receives the shapes that it is listed with."""
    shapes = entry["example_input_shapes"]
    size = next((shape[:2] for shape in shapes if len(shape) == 3), [1, 1])
    layers: list[dict[str, Any]] = []
    names = []
    for number, shape in enumerate(shapes):
        name = f"given{number}"
        if len(shape) == 3:
            assert shape[:2] == size
            layers.append({"type": "conv2d", "filters": shape[2], "kernel_size": 1, "inputs": ["input"]})
        else:
            layers.append({"type": "flatten", "inputs": ["input"], "name": f"flat{number}"})
            layers.append({"type": "dense", "units": shape[0]})
        layers[-1]["name"] = name
        names.append(name)
    last = entry["example"] | ({"inputs": names} if len(names) > 1 else {})
    summary = summarize(http, [*layers, last], [*size, 3])
    network = Network.build(
        Architecture.model_validate({"input_shape": [*size, 3], "layers": [*layers, last]})
    )
    assert list(network.output_shape) == summary["output_shape"]
    outputs = {layer["name"]: layer["output_shape"] for layer in summary["layers"]}
    assert [outputs[name] for name in names] == shapes


def run_initializer(http: httpx.Client, entry: dict[str, Any]) -> None:
    layers = [{"type": "conv2d", "filters": 8, "kernel_size": 3, "weight_initializer": entry["example"]}]
    summarize(http, layers, [10, 10, 3])
    network = Network.build(Architecture.model_validate({"input_shape": [10, 10, 3], "layers": layers}))
    weight = network.initial_weights(0)["conv2d_1/weight"]
    assert np.isfinite(weight).all()


def run_preset(http: httpx.Client, entry: dict[str, Any]) -> None:
    architecture = entry["architecture"]
    summary = summarize(http, architecture["layers"], architecture["input_shape"])
    assert summary["output_shape"] == [entry["classes"]]
    assert architecture["input_shape"] == entry["input_shape"]


def run_explanation(http: httpx.Client, entry: dict[str, Any]) -> None:
    options = {name: value for name, value in entry["example"].items() if name != "type"}
    digit = http.get("/v1/datasets/digits/images/0").content
    answer = http.post(
        "/v1/models/model_example/explain",
        params={"method": entry["name"], **options},
        content=digit,
        headers={"Content-Type": "image/png"},
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["method"] == entry["name"]


def apply_filter(http: httpx.Client, entry: dict[str, Any]) -> None:
    """Apply a filter by its name, and compare with sums of products of the numbers that are listed for it."""
    picture = np.random.default_rng(1).integers(0, 256, (7, 8)).astype(float)
    body = {"input": picture.tolist(), "kernel": entry["name"]}
    found = http.post("/v1/operations/convolve", json=body).json()
    kernel = np.array(entry["kernel"])
    size = len(kernel)
    slow = [
        [
            float((picture[row : row + size, column : column + size] * kernel).sum())
            for column in range(9 - size)
        ]
        for row in range(8 - size)
    ]
    np.testing.assert_allclose(found["output"], slow, atol=1e-9)


RUN: dict[str, Callable[[httpx.Client, dict[str, Any]], None]] = {
    "layers": build_layer,
    "optimizers": lambda http, entry: step(optimizer=entry["example"]),
    "schedules": lambda http, entry: step(schedule=entry["example"]),
    "losses": lambda http, entry: step(loss=entry["example"]),
    "augmentations": lambda http, entry: step(augmentations=[entry["example"]]),
    "initializers": run_initializer,
    "explanations": run_explanation,
    "filters": apply_filter,
    "presets": run_preset,
}


def test_every_list_of_the_catalog_is_run_here(http: httpx.Client) -> None:
    paths = [path for path in http.get("/openapi.json").json()["paths"] if path.startswith(f"{CATALOG}/")]
    assert {path.removeprefix(f"{CATALOG}/") for path in paths} == set(RUN)


@pytest.mark.parametrize("kind", RUN)
def test_every_part_is_explained_and_its_example_runs(http: httpx.Client, kind: str) -> None:
    entries = http.get(f"{CATALOG}/{kind}").json()["data"]
    assert len({entry["name"] for entry in entries}) == len(entries) > 2
    for entry in entries:
        assert entry["title"], entry["name"]
        assert entry["source"], entry["name"]
        if kind not in ("presets", "filters"):
            assert entry["formula"], entry["name"]
            hyperparameters = entry["hyperparameters"]
            for name, schema in hyperparameters["properties"].items():
                assert schema.get("description"), f"{entry['name']}: {name}"
            assert set(hyperparameters["required"]) <= set(entry["example"]), entry["name"]
            assert set(entry["example"]) - {"type"} <= set(hyperparameters["properties"]), entry["name"]
            assert entry["example"]["type"] == entry["name"]
        RUN[kind](http, entry)
