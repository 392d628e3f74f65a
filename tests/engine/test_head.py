"""The head of a network, and the trunk that is left of it."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import GraphError, ShapeError
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.presets import PRESETS
from engine.presets.base import Preset
from engine.training.head import all_but, head_nodes, nodes_from, with_new_head
from engine.training.transfer import freeze

HEADS = {
    "lenet-5": ("dense_3",),
    "alexnet": ("dense_3",),
    "vgg-small": ("dense_2",),
    "vgg-11": ("dense_3",),
    "vgg-16": ("dense_3",),
    "squeezenet-1.0": ("conv2d_10", "conv2d_10/activation", "global_average_pool2d_1"),
    "squeezenet-1.1": ("conv2d_10", "conv2d_10/activation", "global_average_pool2d_1"),
}
"""Of every other preset it is `dense_1`."""
DENSE = {"type": "dense", "units": 4}
CONVOLUTION = {"type": "conv2d", "filters": 2, "kernel_size": 3}


def architecture(*layers: dict[str, Any], size: int = 8) -> Architecture:
    return Architecture.model_validate({"input_shape": [size, size, 1], "layers": layers})


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_every_preset_has_a_head_for_other_classes(preset: Preset) -> None:
    before = preset.architecture()
    after = Network.build(with_new_head(before, 7, preset.input_shape))
    assert after.output_shape == (7,)
    head = head_nodes(after)
    assert head == set(HEADS.get(preset.name, ("dense_1",)))
    # all weights below it are those of before
    trunk = {name: spec for name, spec in after.weight_specs.items() if name.rpartition("/")[0] not in head}
    specs = Network.build(before).weight_specs
    assert trunk == {name: specs[name] for name in trunk}
    assert len(trunk) < len(specs)
    frozen = freeze(after, all_but(after, head))
    assert {node.name for node in frozen.nodes if node.trainable_parameters} == head & {
        node.name for node in after.nodes if node.weights
    }


@pytest.mark.parametrize(
    ("end", "output"),
    [
        ([DENSE, {"type": "softmax"}], "dense_1"),
        ([{**DENSE, "activation": "softmax"}], "dense_1"),
        ([{**DENSE, "trainable": False}, {"type": "sigmoid"}], "dense_1"),
        ([DENSE, {"type": "relu"}], "relu_1"),
    ],
)
def test_the_loss_brings_its_own_link(end: list[dict[str, Any]], output: str) -> None:
    renewed = with_new_head(architecture(CONVOLUTION, {"type": "flatten"}, *end), 3, (8, 8, 1))
    network = Network.build(renewed)
    assert network.nodes[-1].name == output
    assert network.output_shape == (3,)
    assert all(node.trainable_parameters for node in network.nodes if node.name == "dense_1")


def test_a_normalisation_behind_the_last_convolution_belongs_to_the_head() -> None:
    pooled = {"type": "global_average_pool2d"}
    renewed = with_new_head(
        architecture(CONVOLUTION, CONVOLUTION, {"type": "batch_norm"}, pooled), 5, (8, 8, 1)
    )
    network = Network.build(renewed)
    assert network.output_shape == (5,)
    assert head_nodes(network) == {"conv2d_2", "batch_norm_1", "global_average_pool2d_1"}


def test_pictures_of_another_size_behind_global_pooling_and_before_flatten() -> None:
    pooled = architecture(CONVOLUTION, {"type": "global_average_pool2d"}, DENSE, DENSE)
    assert with_new_head(pooled, 3, (20, 30, 1)).input_shape == (20, 30, 1)
    flat = architecture(CONVOLUTION, {"type": "flatten"}, DENSE, DENSE)
    with pytest.raises(ShapeError, match="dense_1/weight are 72x4, and would have to be 1008x4"):
        with_new_head(flat, 3, (20, 30, 1))
    with pytest.raises(ShapeError, match="conv2d_1/weight"):
        with_new_head(pooled, 3, (8, 8, 3))
    # the head's own weights may have any size
    assert with_new_head(architecture({"type": "flatten"}, DENSE), 3, (5, 5, 1))


@pytest.mark.parametrize(
    "layers",
    [
        [{"type": "global_average_pool2d"}, {"type": "softmax"}],
        [{"type": "residual", "layers": [{**CONVOLUTION, "filters": 1, "padding": "same"}]}],
        [{"type": "depthwise_conv2d", "kernel_size": 3}, {"type": "global_average_pool2d"}],
    ],
)
def test_a_network_without_a_head_is_refused(layers: list[dict[str, Any]]) -> None:
    with pytest.raises(GraphError, match="no head") as caught:
        with_new_head(architecture(*layers), 3, (8, 8, 1))
    assert caught.value.hint


def test_what_comes_after_a_node() -> None:
    block = {"type": "residual", "layers": [{**CONVOLUTION, "padding": "same"}] * 2, "shortcut": "projection"}
    network = Network.build(architecture(block, block, {"type": "global_average_pool2d"}, DENSE))
    names = [node.name for node in network.nodes]
    assert nodes_from(network, "residual_2") == set(names[names.index("residual_2/body/conv2d_1") :])
    assert nodes_from(network, "residual_2/body/conv2d_2") == set(
        names[names.index("residual_2/body/conv2d_2") :]
    )
    with pytest.raises(GraphError, match="no layer or block 'residual_3'"):
        nodes_from(network, "residual_3")
    frozen = freeze(network, all_but(network, nodes_from(network, "residual_2/body/conv2d_2")))
    learning = [node.name for node in frozen.nodes if node.trainable_parameters]
    assert "residual_1/body/conv2d_1" not in learning
    assert "residual_2/body/conv2d_1" not in learning
    assert {"residual_2/body/conv2d_2", "dense_1"} <= set(learning)
    assert all_but(network, head_nodes(network)) == ("residual_1/*", "residual_2/*")
