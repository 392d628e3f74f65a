"""Two networks side by side, against figures from papers and edits whose effect is known."""

from typing import Any

import pytest

from engine.graph.architecture import Architecture
from engine.graph.compared import NetworkComparison
from engine.graph.comparison import compare, depth
from engine.graph.network import Network
from engine.graph.summary import summarize
from engine.presets import PRESETS

# In the names of these networks, or in the tables of their papers; of SqueezeNet two for each fire module, of
# MobileNetV2 three for each block but the first.
DEPTHS = {
    "lenet-5": 5,
    "alexnet": 8,
    "vgg-11": 11,
    "vgg-16": 16,
    "resnet-18": 18,
    "resnet-20": 20,
    "resnet-34": 34,
    "resnet-50": 50,
    "resnet-56": 56,
    "googlenet": 22,
    "densenet-121": 121,
    "squeezenet-1.0": 18,
    "mobilenet-v2": 53,
}


def conv(filters: int, **options: Any) -> dict[str, Any]:
    return {"type": "conv2d", "filters": filters, "padding": "same", "activation": "relu", **options}


def network(*layers: dict[str, Any]) -> Network:
    return Network.build(Architecture.model_validate({"input_shape": [8, 8, 3], "layers": list(layers)}))


def compared(first: Network, second: Network) -> NetworkComparison:
    return compare(first, second, (summarize(first), summarize(second)))


@pytest.mark.parametrize("name", DEPTHS)
def test_the_depth_is_that_of_the_paper(name: str) -> None:
    preset = next(preset for preset in PRESETS if preset.name == name)
    assert depth(Network.build(preset.architecture())) == DEPTHS[name]


def test_a_network_differs_from_itself_in_nothing() -> None:
    same = network(conv(4), {"type": "flatten"}, {"type": "dense", "units": 2})
    found = compared(same, same)
    assert found.layers == []
    assert found.unchanged == len(same.nodes) == 4
    assert all(number.difference == 0 for _, number in found.differences)


def test_numbers_are_those_of_both_summaries() -> None:
    first, second = network(conv(4)), network(conv(8), conv(8, stride=2))
    numbers = compared(first, second).differences
    assert numbers.parameters.values == (27 * 4 + 4, 27 * 8 + 8 + 72 * 8 + 8)
    assert numbers.parameters.difference == 696
    assert numbers.parameters.ratio == pytest.approx(808 / 112)
    assert numbers.multiply_adds.values == (64 * 27 * 4, 64 * 27 * 8 + 16 * 72 * 8)
    assert numbers.receptive_field_height.values == (3, 5)
    assert numbers.depth.values == (1, 2)
    assert numbers.nodes.values == (2, 4)
    none = compared(network({"type": "relu"}), first).differences
    assert none.parameters.ratio is None
    assert none.receptive_field_width.values == (1, 3)


def test_a_changed_layer_says_in_what() -> None:
    (conv_, relu) = compared(network(conv(4)), network(conv(8, bias=False))).layers
    assert (conv_.change, conv_.names) == ("changed", ("conv2d_1", "conv2d_1"))
    assert conv_.values == {
        "filters": (4, 8),
        "bias": (True, False),
        "output_shape": ([8, 8, 4], [8, 8, 8]),
        "parameters": (112, 216),
    }
    assert set(relu.values) == {"output_shape"}


def test_layers_that_come_and_go_stand_in_order() -> None:
    first = network(
        conv(4, name="a"), {"type": "max_pool2d", "name": "gone"}, conv(4, name="b", activation=None)
    )
    second = network(conv(4, name="a"), conv(4, name="new"), conv(4, name="b", activation=None))
    found = [(each.change, each.names) for each in compared(first, second).layers]
    assert found == [
        ("added", (None, "new")),
        ("added", (None, "new/activation")),
        ("removed", ("gone", None)),
        ("changed", ("b", "b")),
    ]


def test_a_layer_under_another_name_is_found_again() -> None:
    first = network(
        conv(4, name="a", activation=None), conv(4, name="b", activation=None), {"type": "flatten"}
    )
    second = network(
        conv(4, name="a", activation=None), conv(4, name="c", activation=None), {"type": "flatten"}
    )
    found = compared(first, second)
    (renamed, flat) = found.layers
    assert (renamed.change, renamed.names, renamed.values) == ("renamed", ("b", "c"), {})
    assert flat.values == {"inputs": (["b"], ["c"])}
    assert found.unchanged == 1
