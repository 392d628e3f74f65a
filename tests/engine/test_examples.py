"""The experiments can be run: their networks can be built and their figures drawn."""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree

import pytest

from engine.training.loop import TrainingConfig
from examples import augmentation, figures, inception_reductions, skip_connections
from examples.digits import digits, learn, network

SVG = "{http://www.w3.org/2000/svg}"


def test_the_same_weights_with_and_without_skip_connections() -> None:
    for blocks in skip_connections.BLOCKS:
        with_skips, without = (network(skip_connections.layers(blocks, skip=skip)) for skip in (True, False))
        assert with_skips.parameters == without.parameters
        assert sum(node.layer.type == "conv2d" for node in without.nodes) == 2 * blocks + 1


def test_reductions_cost_what_the_paper_says() -> None:
    """Szegedy et al. 2014, table 1: 128 million operations and 159 thousand parameters for block 3a, biases aside."""
    work, parameters = inception_reductions.costs(*inception_reductions.PUBLISHED["3a"], reduced=True)
    assert work == pytest.approx(128e6, rel=0.01)
    assert parameters == pytest.approx(159 * 1024, rel=0.01)
    free, _ = inception_reductions.costs(*inception_reductions.PUBLISHED["3a"], reduced=False)
    assert free > 2 * work
    for reduced in (True, False):
        assert network(inception_reductions.layers(reduced=reduced)).output_shape == (10,)


def test_an_experiment_learns_from_as_many_pictures_as_asked_for() -> None:
    data = digits(40)
    assert len(data.train) == 40
    config = TrainingConfig.model_validate({"epochs": 1, "augmentations": augmentation.AUGMENTATIONS})
    (metrics,) = learn([{"type": "flatten"}, {"type": "dense", "units": 10}], data, config)
    assert metrics.dev_accuracy is not None


def test_curves_lie_where_their_numbers_say(tmp_path: Path) -> None:
    series = {"a < b": [(0.0, 0.0), (5.0, 1.0), (10.0, math.nan)], "other": [(0.0, 1.0), (10.0, 0.0)]}
    bands = {"other": [(0.0, 0.8, 1.0), (10.0, 0.0, 0.2)]}
    file = figures.lines("f", "title", series, "x", "y", y_range=(0, 1), bands=bands, directory=tmp_path)
    root = ElementTree.parse(file).getroot()  # noqa: S314
    assert [text.text for text in root.iter(f"{SVG}text")].count("a < b") == 1
    first, second = (line.get("points", "").split() for line in root.iter(f"{SVG}polyline"))
    assert len(first) == 2
    assert len(list(root.iter(f"{SVG}polygon"))) == 1
    low, high = (float(point.partition(",")[2]) for point in first)
    assert low > high
    assert second == [first[0].split(",")[0] + "," + first[1].split(",")[1], second[1]]


def test_bars_stand_on_the_ground(tmp_path: Path) -> None:
    values = {"one": {"a": 2e6, "b": 4e6}, "two": {"a": 1e6, "b": 0.0}}
    file = figures.bars("f", "title", values, "y", directory=tmp_path)
    root = ElementTree.parse(file).getroot()  # noqa: S314
    bars = [
        bar for bar in root.iter(f"{SVG}rect") if float(bar.get("height", "0").rstrip("%")) not in (10, 100)
    ]
    heights = [float(bar.get("height", "0")) for bar in bars]
    assert heights[1] == pytest.approx(2 * heights[0], rel=0.01)
    assert heights[3] == 0
    assert {
        round(float(bar.get("y", "0")) + height, 1) for bar, height in zip(bars, heights, strict=True)
    } == {308.0}
    assert "4M" in [text.text for text in root.iter(f"{SVG}text")]


def test_powers_of_ten(tmp_path: Path) -> None:
    file = figures.lines(
        "f", "t", {"a": [(1, 0.01), (2, 1.0), (3, 100.0)]}, "x", "y", logarithmic=True, directory=tmp_path
    )
    root = ElementTree.parse(file).getroot()  # noqa: S314
    (line,) = root.iter(f"{SVG}polyline")
    heights = [float(point.partition(",")[2]) for point in line.get("points", "").split()]
    assert heights[0] - heights[1] == pytest.approx(heights[1] - heights[2], abs=0.2)
