"""Hints: each rule on a network that has it and on its like that has not; and what is true of each preset."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.hints import MOST_OF_A_KIND, RULES, find_hints
from engine.presets import PRESETS
from tests.growth import grows_no_faster_than_its_size

RELU = {"type": "relu"}
NORM = {"type": "batch_norm"}
FLAT = {"type": "flatten"}
POOL = {"type": "max_pool2d"}
AVERAGE = {"type": "global_average_pool2d"}


def conv(filters: int = 8, size: Any = 3, **options: Any) -> dict[str, Any]:
    return {
        "type": "conv2d",
        "filters": filters,
        "kernel_size": size,
        "padding": "same",
        "activation": "relu",
        **options,
    }


def dense(units: int = 2, **options: Any) -> dict[str, Any]:
    return {"type": "dense", "units": units, **options}


def dropout(rate: float = 0.5) -> dict[str, Any]:
    return {"type": "dropout", "rate": rate}


def hints(layers: list[dict[str, Any]], side: int = 32) -> dict[str, list[Any]]:
    """Return the hints by code."""
    document = {"input_shape": [side, side, 3], "layers": layers}
    found: dict[str, list[Any]] = {}
    for hint in find_hints(Network.build(Architecture.model_validate(document))):
        found.setdefault(hint.code, []).append(hint)
    return found


Case = tuple[str, int, list[dict[str, Any]], list[dict[str, Any]], str, tuple[str, ...]]
# code, side of the pictures, layers that have it, layers that do not, the pointer, and what the words must hold
CASES: list[Case] = [
    (
        "receptive-field-small",
        32,
        [conv(), conv(), AVERAGE, dense()],
        [conv(), POOL, conv(), POOL, conv(), POOL, conv(), AVERAGE, dense()],
        "/layers/2",
        ("5x5 pixels of the 32x32 picture", "32x32 cells"),
    ),
    (
        "receptive-field-exceeded",
        8,
        [conv(), conv(), POOL, conv(), conv(), AVERAGE, dense()],
        [conv(), *[{"type": "residual", "layers": [conv(), conv()]}] * 3, AVERAGE, dense()],
        "/layers/4",
        ("10x10 pixels", "8x8 picture", "hold 584 of 1,994 parameters (29 %)"),
    ),
    (
        "pooling-first",
        32,
        [{"type": "average_pool2d"}, RELU, conv(), FLAT, dense()],
        [conv(), {"type": "average_pool2d"}, FLAT, dense()],
        "/layers/0",
        ("from 32x32 to 16x16", "75 %"),
    ),
    (
        "edge-dropped",
        33,
        [conv(), POOL, FLAT, dense()],
        [conv(), POOL | {"ceil_mode": True}, conv(stride=2, padding=1), FLAT, dense()],
        "/layers/1",
        ("the last 1 of 33 rows and the last 1 of 33 columns",),
    ),
    (
        "pixels-skipped",
        32,
        [conv(), conv(8, 1, stride=2), FLAT, dense()],
        [
            conv(),
            {
                "type": "residual",
                "layers": [conv(8, 3, stride=2, padding=1)],
                "shortcut": [conv(8, 1, stride=2)],
            },
            FLAT,
            dense(),
        ],
        "/layers/1",
        ("75 % of its input",),
    ),
    (
        "even-kernel-same",
        32,
        [conv(8, [3, 4]), FLAT, dense()],
        [conv(8, 4, stride=2), conv(8, 4, padding=2), FLAT, dense()],
        "/layers/0",
        ("1 pixels of padding before and 2 after", "such as 3x5"),
    ),
    (
        "weights-never-used",
        8,
        [conv(), POOL, POOL, POOL, conv(8, [3, 5]), FLAT, dense()],
        [conv(), POOL, POOL, conv(8, 3), FLAT, dense()],
        "/layers/4",
        ("of the 3x5 cells of each filter 1 ever meet the 1x1 map", "896 weights", "at most 1x1"),
    ),
    (
        "dense-majority",
        32,
        [conv(), FLAT, dropout(), dense(10)],
        [conv(), AVERAGE, dense(100)],
        "/layers/3",
        ("81,930 of 82,154 parameters (100 %)", "32x32x8 = 8,192 numbers", "80 weights"),
    ),
    (
        "bias-before-normalization",
        32,
        [conv(activation=None), NORM, RELU, FLAT, dense()],
        [conv(activation=None, bias=False), NORM, conv(), NORM, FLAT, dense()],
        "/layers/0",
        ("the 8 biases", "batch_norm_1"),
    ),
    (
        "channels-shrink-early",
        32,
        [conv(16), conv(4), conv(16), conv(32), FLAT, dense()],
        [conv(16), conv(4, 1), conv(16), conv(32), conv(32), conv(16), FLAT, dense()],
        "/layers/1",
        ("16 channels become 4, and later 32 again", "32x32x4"),
    ),
    (
        "no-nonlinearity-between",
        32,
        [conv(8, activation=None), NORM, {"type": "affine"}, dropout(), conv(8), FLAT, dense()],
        [
            conv(32, activation=None),
            NORM | {"activation": "relu"},
            conv(8, 1, activation=None),
            conv(32),
            FLAT,
            dense(),
        ],
        "/layers/4",
        ("between conv2d_1 and this layer", "808 weights"),
    ),
    (
        "dropout-before-normalization",
        32,
        [conv(), dropout(0.2), conv(), NORM, FLAT, dense()],
        [conv(bias=False), NORM, dropout(0.2), FLAT, dense()],
        "/layers/1",
        ("multiplies what is kept by 1.25", "batch_norm_1"),
    ),
    (
        "link-before-loss",
        32,
        [conv(), FLAT, dense(activation="softmax")],
        [conv(activation="sigmoid"), FLAT, dense()],
        "/layers/2",
        ("ends with softmax", "softmax_cross_entropy takes it over", "binary_cross_entropy"),
    ),
    (
        "relu-last",
        32,
        [conv(), FLAT, dense(5, activation="relu"), {"type": "softmax"}],
        [conv(), FLAT, dense(5, activation="relu"), dense(5)],
        "/layers/2",
        ("the 5 scores go through relu",),
    ),
    (
        "output-unread",
        32,
        [conv(name="used"), conv(name="lost"), FLAT | {"inputs": ["used"]}, dense()],
        [conv(name="used"), conv(name="also"), {"type": "add", "inputs": ["used", "also"]}, FLAT, dense()],
        "/layers/1",
        ("584 parameters", "589,824 multiply-adds"),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_a_rule_finds_what_it_is_about_and_nothing_else(case: Case) -> None:
    code, side, having, lacking, pointer, words = case
    found = hints(having, side)[code]
    assert [hint.pointer for hint in found] == [pointer]
    for word in words:
        assert word in f"{found[0].detail} {found[0].fix}"
    assert found[0].node is not None
    assert code not in hints(lacking, side)


def test_every_rule_has_a_case() -> None:
    assert [case[0] for case in CASES] == [rule.__name__.replace("_", "-") for rule in RULES]
    page = (Path(__file__).resolve().parents[2] / "docs" / "architectures.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE) == [case[0] for case in CASES]


def test_the_hint_of_a_layer_in_a_block_points_into_it() -> None:
    body = [conv(8, activation=None), NORM, conv(8, bias=False, activation=None), NORM]
    found = hints([conv(), {"type": "residual", "layers": body}, AVERAGE, dense()])
    (bias,) = found["bias-before-normalization"]
    assert (bias.node, bias.pointer) == ("residual_1/body/conv2d_1", "/layers/1/layers/0")
    (linear,) = found["no-nonlinearity-between"]
    assert linear.pointer == "/layers/1/layers/2"


def test_of_very_many_hints_the_first_are_given() -> None:
    layers = [conv(1, 1, activation=None), NORM | {"activation": "relu"}] * (MOST_OF_A_KIND + 5)
    assert len(hints(layers)["bias-before-normalization"]) == MOST_OF_A_KIND


def test_a_network_without_convolutions_has_no_hints() -> None:
    assert hints([FLAT, dense(32, activation="relu"), dense()]) == {}


# A dense layer on a flattened map is what these networks are known for: the paper of VGG counts its parameters so.
FLATTENED = {"dense-majority"}
HINTS_OF_PRESETS = {
    "lenet-5": FLATTENED,  # 48,120 of 61,706
    "vgg-small": FLATTENED,
    "tiny-vgg": FLATTENED,  # 16,910 of 19,920
    "alexnet": FLATTENED,  # 37.8 of 61.1 million
    "vgg-11": FLATTENED,
    "vgg-16": FLATTENED,  # 102.8 of 138.4 million
    # 7x7 with stride 2 and no padding: (224 - 7) is odd, and the last row and column are never seen; each of the 13x13
    # cells that are averaged sees 155 of 224 pixels.
    "squeezenet-1.0": {"edge-dropped", "receptive-field-small"},
    # the same of 3x3, while a cell sees 207 of 224 pixels
    "squeezenet-1.1": {"edge-dropped"},
}


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_the_hints_of_a_preset_are_true(preset: Any) -> None:
    found = find_hints(Network.build(preset.architecture()))
    assert {hint.code for hint in found} == HINTS_OF_PRESETS.get(preset.name, set())
    assert len(found) == len({hint.code for hint in found})


def test_vgg_on_small_pictures_has_layers_with_nothing_to_see() -> None:
    vgg = next(preset for preset in PRESETS if preset.name == "vgg-16")
    found = find_hints(Network.build(vgg.architecture((32, 32, 3), 10)))
    (hint,) = [hint for hint in found if hint.code == "receptive-field-exceeded"]
    assert hint.node == "conv2d_7"
    assert "and 6 more layers" in hint.detail


def test_the_work_grows_with_the_network() -> None:
    """Each layer of a long chain used to look back through all of those before it."""

    def work(layers: int) -> Callable[[], object]:
        network = Network.build(
            Architecture.model_validate({"input_shape": [8, 8, 1], "layers": [{"type": "relu"}] * layers})
        )
        return lambda: find_hints(network)

    assert grows_no_faster_than_its_size(work, 500)
