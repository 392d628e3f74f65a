"""Presets against the figures that were published for them."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import ShapeError
from engine.graph.architecture import Architecture
from engine.graph.costs import Summary
from engine.graph.network import Network
from engine.graph.summary import summarize
from engine.layers import Context
from engine.presets import PRESETS, Preset, find

PARAMETERS = {
    "lenet-5": 61_706,
    # 3x3 filters of both stages, then 8*8*64 numbers to 128 units to ten classes
    "vgg-small": 896 + 9_248 + 18_496 + 36_928 + 524_416 + 1_290,
    # ten 3x3 filters on 3 and then on 10 channels, then 13*13*10 numbers to ten classes
    "tiny-vgg": 280 + 3 * 910 + 16_910,
    "resnet-20": 269_722,
    "resnet-56": 853_018,
    "alexnet": 61_100_840,
    "vgg-11": 132_863_336,
    "vgg-16": 138_357_544,
    "googlenet": 7_005_832,
    "squeezenet-1.0": 1_248_424,
    "squeezenet-1.1": 1_235_496,
    "resnet-18": 11_689_512,
    "resnet-34": 21_797_672,
    "resnet-50": 25_557_032,
    "densenet-121": 7_978_856,
    "mobilenet-v2": 3_504_872,
}
MULTIPLY_ADDS = {
    "vgg-16": 15.47e9,
    "resnet-18": 1.81e9,
    "resnet-50": 4.09e9,
    "alexnet": 0.714e9,
    "densenet-121": 2.83e9,
    "mobilenet-v2": 0.300e9,
    "resnet-20": 0.041e9,
}


def preset(name: str) -> Preset:
    found = find(name)
    assert found is not None
    return found


def summary(name: str) -> Summary:
    return summarize(Network.build(preset(name).architecture()))


def test_every_preset_has_its_figure_here() -> None:
    assert [one.name for one in PRESETS] == list(PARAMETERS)
    assert find("resnet-19") is None


@pytest.mark.parametrize(("name", "parameters"), PARAMETERS.items())
def test_trainable_parameters_are_the_published_ones(name: str, parameters: int) -> None:
    assert summary(name).totals.trainable_parameters == parameters


@pytest.mark.parametrize(("name", "published"), MULTIPLY_ADDS.items())
def test_multiply_adds_are_within_a_hundredth_of_the_published_ones(name: str, published: float) -> None:
    assert summary(name).totals.multiply_adds == pytest.approx(published, rel=0.01)


@pytest.mark.parametrize("one", PRESETS, ids=lambda one: one.name)
def test_a_preset_fits_other_pictures_and_classes(one: Preset) -> None:
    side = max(one.smallest, 24)
    for channels in (1, 3):
        network = Network.build(one.architecture((side, side + 5, channels), 7))
        assert network.output_shape == (7,)
    assert Architecture.model_validate(one.architecture().document()) == one.architecture()


@pytest.mark.parametrize("one", PRESETS, ids=lambda one: one.name)
def test_the_smallest_pictures_are_the_smallest(one: Preset) -> None:
    assert Network.build(one.architecture((one.smallest, one.smallest, 3))).output_shape == (one.classes,)
    if one.smallest > 1:
        with pytest.raises(ShapeError, match="does not fit"):
            Network.build(one.architecture((one.smallest - 1, one.smallest, 3)))


@pytest.mark.parametrize("name", ["tiny-vgg", "resnet-20", "googlenet", "squeezenet-1.1", "mobilenet-v2"])
def test_a_preset_computes_finite_scores_and_gradients(name: str) -> None:
    network = Network.build(preset(name).architecture((32, 32, 3), 5))
    weights = network.initial_weights(0)
    x = np.random.default_rng(0).standard_normal((2, 32, 32, 3)).astype(np.float32)
    tape = network.forward(weights, x, Context(statistics="batch", records=True))
    assert tape.output.shape == (2, 5)
    gradients = network.backward(tape, np.ones_like(tape.output))
    assert set(gradients) == {key for key, spec in network.weight_specs.items() if spec.trainable}
    for key, gradient in gradients.items():
        assert gradient.dtype == np.float32
        assert np.isfinite(gradient).all(), key


def test_sizes_of_the_maps_are_those_of_the_papers() -> None:
    """He et al., table 1, and Szegedy et al., table 1: 112, 56, 28, 14 and 7 pixels."""
    for name in ("resnet-50", "googlenet", "densenet-121", "mobilenet-v2"):
        sizes = [layer.output_shape[0] for layer in summary(name).layers if len(layer.output_shape) == 3]
        assert list(dict.fromkeys(sizes)) == [112, 56, 28, 14, 7], name
