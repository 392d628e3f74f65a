"""The numbers of a summary, against the article and against what training really takes."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import numpy as np
import pytest

from engine import catalog
from engine.arrays import elements
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.graph.summary import summarize
from engine.layers import LAYERS
from engine.presets import PRESETS, find
from engine.recipe.optimizers import Lookahead, RMSProp
from engine.training.loop import TrainingConfig, TrainingData, train


def preset(name: str) -> Network:
    found = find(name)
    assert found is not None
    return Network.build(found.architecture())


def test_lenet_is_the_one_of_the_contract() -> None:
    summary = summarize(preset("lenet-5")).model_dump(mode="json")
    assert summary["totals"]["parameters"] == summary["totals"]["trainable_parameters"] == 61706
    first = summary["layers"][0]
    expected = {
        "name": "conv2d_1",
        "type": "conv2d",
        "pointer": "/layers/0",
        "inputs": ["input"],
        "output_shape": [28, 28, 6],
        "parameters": 156,
        "multiply_adds": 117600,
        "receptive_field": [5, 5],
        "jump": [1, 1],
        "dense_equivalent_parameters": 3692640,
    }
    assert {key: first[key] for key in expected} == expected
    assert first["formula"]["height"] == "floor((28 + 2*2 - 5)/1) + 1 = 28"
    assert first["connection_density"] == pytest.approx(0.0292, abs=5e-5)
    assert summary["layers"][1]["name"] == "conv2d_1/activation"
    assert summary["output_shape"] == [10]


@pytest.mark.parametrize(
    ("layer", "bias"),
    [
        ({"type": "conv2d", "filters": 2}, True),
        ({"type": "conv2d", "filters": 2, "bias": False}, False),
        ({"type": "max_pool2d"}, False),
    ],
)
def test_the_fully_connected_layer_of_comparison_has_a_bias_where_this_one_has(
    layer: dict[str, Any], bias: bool
) -> None:
    network = Network.build(Architecture.model_validate({"input_shape": [6, 6, 2], "layers": [layer]}))
    outputs = elements(network.output_shape)
    assert summarize(network).layers[0].dense_equivalent_parameters == (72 + bias) * outputs


def test_receptive_fields_take_the_wider_branch() -> None:
    conv = {"type": "conv2d", "filters": 2, "padding": "same"}
    network = Network.build(
        Architecture.model_validate(
            {
                "input_shape": [16, 16, 1],
                "layers": [
                    {"type": "max_pool2d"},
                    {
                        "type": "parallel",
                        "branches": [[{**conv, "kernel_size": 5}], [{**conv, "kernel_size": [1, 3]}]],
                    },
                ],
            }
        )
    )
    last = summarize(network).layers[-1]
    assert (last.receptive_field, last.jump) == ([10, 10], [2, 2])


def test_asymmetric_padding_is_written_out() -> None:
    architecture = Architecture.model_validate(
        {
            "input_shape": [7, 7, 1],
            "layers": [
                {"type": "conv2d", "filters": 1, "kernel_size": 2, "padding": "same", "dilation": [1, 2]}
            ],
        }
    )
    formula = summarize(Network.build(architecture)).layers[0].formula
    assert formula == {
        "height": "floor((7 + 0 + 1 - 2)/1) + 1 = 7",
        "width": "floor((7 + 2*1 - (2*(2 - 1) + 1))/1) + 1 = 7",
    }


class Noise:
    """Pictures without content."""

    def __len__(self) -> int:
        return 64

    def read(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((len(indices), 32, 32, 3), np.uint8), indices % 10


def test_the_memory_estimate_of_training_is_near_the_measured_peak() -> None:
    network = preset("vgg-small")
    data = TrainingData(Noise(), Noise(), Noise(), tuple("0123456789"), (32, 32, 3))
    estimate = summarize(network, batch_size=64).totals.training_bytes
    # what keeps most for each weight
    largest = Lookahead(inner=RMSProp(momentum=0.9, centred=True))
    run = train(network, TrainingConfig(epochs=1, optimizer=largest), data)
    tracemalloc.start()
    next(run)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert estimate * 0.7 < peak < estimate * 1.3


def test_the_catalog_lists_every_part_with_what_a_reader_needs() -> None:
    assert [entry["type"] for entry in catalog.layers()] == [layer.tag() for layer in LAYERS]
    for entry in [*catalog.layers(), *catalog.optimizers(), *catalog.schedules(), *catalog.losses()]:
        assert entry["formula"]
        assert entry["source"]
        assert entry["title"].endswith((".", ":"))
        assert entry["example"]["type"] == entry["type"]
        assert set(entry["example"]) - {"type"} <= set(entry["hyperparameters"]["properties"])
    conv = catalog.layers()[0]["hyperparameters"]
    assert conv["required"] == ["filters"]
    names, records = conv["properties"]["activation"]["anyOf"][:2]
    assert set(names["enum"]) == {record["properties"]["type"]["const"] for record in records["oneOf"]}
    assert {"relu", "prelu", "softmax"} <= set(names["enum"])
    assert [entry["name"] for entry in catalog.presets()] == [preset.name for preset in PRESETS]


def test_a_layer_in_a_layer_is_told_by_its_type_in_the_catalog() -> None:
    """Every entry would otherwise hold the schemas of all layers."""
    for entry in catalog.layers():
        text = json.dumps(entry)
        assert len(text) < 20_000
        defined = entry["hyperparameters"]["$defs"]
        assert {name.partition('"')[0] for name in text.split("#/$defs/")[1:]} <= set(defined)


def test_every_layer_says_where_it_was_written() -> None:
    convolution = {"type": "conv2d", "filters": 1, "kernel_size": 1}
    layers = [
        {"type": "residual", "layers": [{"type": "conv2d", "filters": 2, "padding": "same"}]},
        {"type": "parallel", "branches": [[{"type": "relu"}, convolution], []]},
        {"type": "inverted_residual", "filters": 3},
    ]
    network = Network.build(Architecture.model_validate({"input_shape": [8, 8, 2], "layers": layers}))
    pointers = {layer.name: layer.pointer for layer in summarize(network).layers}
    assert pointers["residual_1/body/conv2d_1"] == "/layers/0/layers/0"
    assert pointers["residual_1/add"] == "/layers/0"
    assert pointers["parallel_1/branch_1/conv2d_1"] == "/layers/1/branches/0/1"
    assert {where for name, where in pointers.items() if name.startswith("inverted")} == {"/layers/2"}


@pytest.mark.parametrize("name", [record.name for record in PRESETS])
def test_pointers_lead_to_what_is_written(name: str) -> None:
    found = find(name)
    assert found is not None
    architecture = found.architecture()
    for layer in summarize(Network.build(architecture)).layers:
        place: Any = architecture.document()
        for key in layer.pointer.split("/")[1:]:
            place = place[int(key) if isinstance(place, list) else key]
        assert "type" in place
