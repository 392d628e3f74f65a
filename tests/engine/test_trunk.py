"""Training behind a frozen trunk, on features in place of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.arrays import Array
from engine.execution.protocol import Execution, PlainExecution
from engine.fast.layout.gemm import Tuning
from engine.fast.parallel.setup import Setup
from engine.fast.parallel.shares import execution
from engine.graph.network import Network
from engine.inputs.feed import Feed
from engine.inputs.preparation import Preparation
from engine.inputs.preprocessing import Preprocessing
from engine.layers import Context
from engine.presets import PRESETS
from engine.presets.base import Preset
from engine.recipe.losses import Loss
from engine.recipe.optimizers import Adam
from engine.training.checkpoint import checkpoint_bytes, read_checkpoint
from engine.training.features import FeatureExtractor, extractor_bytes, pictures_at_once
from engine.training.head import all_but, head_nodes, nodes_from
from engine.training.loop import TrainingConfig, TrainingData, start, train
from engine.training.state import TrainingState
from engine.training.transfer import freeze
from engine.training.trunk import (
    UNCHANGED,
    FeatureSet,
    Split,
    feature_data,
    split_network,
)
from tests.engine.stripes import Stripes, data, network, same_bytes

LAYERS: list[dict[str, Any]] = [
    {"type": "conv2d", "filters": 4, "kernel_size": 3, "padding": "same", "bias": False},
    {"type": "batch_norm", "activation": "relu"},
    {
        "type": "residual",
        "layers": [{"type": "conv2d", "filters": 4, "kernel_size": 3, "padding": "same"}],
        "activation": "relu",
    },
    {"type": "max_pool2d"},
    {"type": "flatten"},
    {"type": "dropout", "rate": 0.3},
    {"type": "dense", "units": 3},
]
CONFIG = TrainingConfig(epochs=3, batch_size=16, seed=4, optimizer=Adam(learning_rate=0.01))


def features(extractor: FeatureExtractor, images: np.ndarray) -> np.ndarray:
    return np.concatenate(list(extractor.features(len(images), lambda first, last: images[first:last])))


def on_features(
    whole: Network, config: TrainingConfig, given: TrainingData, state: TrainingState
) -> tuple[Split, TrainingConfig, TrainingData, TrainingState]:
    split = split_network(freeze(whole, config.freeze))
    assert split is not None
    extractor = FeatureExtractor(split.trunk, state.weights, state.preprocessing, 2)

    def computed(images: Stripes) -> FeatureSet:
        return FeatureSet(features(extractor, images.images), images.labels)

    sets = [computed(images) for images in (given.train, given.dev, given.test)]  # type: ignore[arg-type]
    return split, split.config(config), feature_data(given, *sets), split.narrowed(state)


def execute(rest: Network, loss: Loss, preparation: Preparation) -> Execution:
    return PlainExecution(rest, loss, UNCHANGED)


@pytest.fixture
def whole() -> Network:
    return network(LAYERS)


@pytest.fixture
def config(whole: Network) -> TrainingConfig:
    return CONFIG.model_copy(update={"freeze": all_but(whole, head_nodes(whole))})


def test_a_head_on_features_learns_what_it_learns_behind_its_trunk(
    whole: Network, config: TrainingConfig
) -> None:
    ordinary = start(whole, config, data())
    list(train(whole, config, data(), ordinary))
    state = start(whole, config, data())
    split, narrow, given, narrowed = on_features(whole, config, data(), state)
    list(train(split.rest, narrow, given, narrowed, execute))
    widened = split.widened(narrowed, state.weights)
    assert list(widened.weights) == list(ordinary.weights)
    for name, weight in ordinary.weights.items():
        # plans fold batch norm into the convolution before it: sums are rounded otherwise
        np.testing.assert_allclose(widened.weights[name], weight, rtol=1e-3, atol=1e-5, err_msg=name)
    assert widened.best_epoch == ordinary.best_epoch
    for one, other in zip(widened.history, ordinary.history, strict=True):
        assert one.dev_loss == pytest.approx(other.dev_loss, rel=1e-4)
    start_weights = start(whole, config, data()).weights
    learnt = {name for name in start_weights if (widened.weights[name] != start_weights[name]).any()}
    assert learnt == {"dense_1/weight", "dense_1/bias"}


def test_a_checkpoint_is_one_of_the_whole_network(
    whole: Network, config: TrainingConfig, tmp_path: Path
) -> None:
    state = start(whole, config, data())
    split, narrow, given, narrowed = on_features(whole, config, data(), state)
    undisturbed = split.narrowed(start(whole, config, data()))
    list(train(split.rest, narrow, given, undisturbed, execute))
    reports = train(split.rest, narrow, given, narrowed, execute)
    for _ in range(8):
        next(reports)
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(checkpoint_bytes(split.widened(narrowed, state.weights)))
    again = split.narrowed(read_checkpoint(path, whole, config))
    assert 0 < again.step < undisturbed.step
    list(train(split.rest, narrow, given, again, execute))
    assert same_bytes(again, undisturbed)


def test_features_are_the_same_on_any_number_of_threads(whole: Network, config: TrainingConfig) -> None:
    state = start(whole, config, data())
    split = split_network(freeze(whole, config.freeze))
    assert split is not None
    images = Stripes(77, 5).images
    found = []
    for threads in (1, 3):
        extractor = FeatureExtractor(split.trunk, state.weights, state.preprocessing, threads)
        found.append(features(extractor, images))
    assert found[0].tobytes() == found[1].tobytes()
    x = state.preprocessing.apply(images)
    expected = split.trunk.forward(state.weights, x, Context()).output
    np.testing.assert_allclose(found[0], expected, rtol=1e-4, atol=1e-5)
    assert list(extractor.features(0, lambda first, last: images[first:last])) == []


def test_threads_compute_few_pictures_together_and_fewer_towards_the_end(
    whole: Network, config: TrainingConfig
) -> None:
    state = start(whole, config, data())
    split = split_network(freeze(whole, config.freeze))
    assert split is not None
    extractor = FeatureExtractor(split.trunk, state.weights, state.preprocessing, 2)
    images = Stripes(77, 5).images
    read: list[tuple[int, int]] = []

    def some(first: int, last: int) -> Array:
        read.append((first, last))
        return images[first:last]

    list(extractor.features(77, some))
    sizes = [last - first for first, last in sorted(read)]
    assert sizes == [32, 16, 8, 8, 4, 4, 1, 1, 1, 1, 1]
    read.clear()
    list(extractor.features(8, some))
    assert [last - first for first, last in sorted(read)] == [4, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("name", "size", "together"),
    [("mobilenet-v2", 96, 32), ("mobilenet-v2", 128, 32), ("mobilenet-v2", 224, 8), ("resnet-18", 224, 4)],
)
def test_as_many_pictures_go_through_a_trunk_as_memory_allows(name: str, size: int, together: int) -> None:
    preset = next(preset for preset in PRESETS if preset.name == name)
    whole = Network.build(preset.architecture((size, size, 3), 5))
    split = split_network(freeze(whole, all_but(whole, head_nodes(whole))))
    assert split is not None
    assert pictures_at_once(split.trunk) == together
    assert extractor_bytes(split.trunk, threads=2) < 400 << 20


def test_what_features_depend_on_is_in_their_fingerprint(whole: Network, config: TrainingConfig) -> None:
    state = start(whole, config, data())
    split = split_network(freeze(whole, config.freeze))
    assert split is not None

    def fingerprint(
        weights: dict[str, Array] = state.weights, preprocessing: Preprocessing = state.preprocessing
    ) -> str:
        return FeatureExtractor(split.trunk, weights, preprocessing, 1).fingerprint()

    same = fingerprint()
    assert fingerprint({**state.weights, "dense_1/bias": np.ones(3, np.float32)}) == same
    moved = {**state.weights, "batch_norm_1/running_mean": np.ones(4, np.float32)}
    assert fingerprint(moved) != same
    assert fingerprint(preprocessing=Preprocessing(mean=(0.1,), deviation=(1.0,))) != same


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_where_presets_are_cut(preset: Preset) -> None:
    whole = Network.build(preset.architecture())
    split = split_network(freeze(whole, all_but(whole, head_nodes(whole))))
    assert split is not None
    assert [*split.trunk.nodes, *split.rest.nodes][-1].name == whole.nodes[-1].name
    assert len(split.trunk.nodes) + len(split.rest.nodes) == len(whole.nodes)
    random = [node.name for node in whole.nodes if node.layer.random]
    behind = random[0] if random else min(head_nodes(whole))
    assert split.rest.nodes[0].name == behind
    assert split.rest.output_shape == whole.output_shape


def test_nothing_is_kept_where_the_first_layers_learn() -> None:
    whole = network(LAYERS)
    assert split_network(whole) is None
    assert split_network(freeze(whole, ["residual_1/*"])) is None
    assert split_network(freeze(whole, ["batch_norm_1"])) is None
    # only layers without weights come before what learns
    assert split_network(network([{"type": "flatten"}, {"type": "dense", "units": 3}])) is None
    split = split_network(freeze(whole, ["conv2d_1", "batch_norm_1"]))
    assert split is not None
    assert split.node == "batch_norm_1/activation"


def test_a_path_around_the_frozen_layers_moves_the_cut() -> None:
    layers = [
        {"type": "conv2d", "filters": 2, "kernel_size": 1, "name": "first"},
        {"type": "conv2d", "filters": 2, "kernel_size": 1, "name": "second"},
        {"type": "add", "inputs": ["first", "second"]},
        {"type": "conv2d", "filters": 2, "kernel_size": 1, "name": "third", "inputs": ["first"]},
        {"type": "add", "inputs": ["add_1", "third"]},
        {"type": "flatten"},
        {"type": "dense", "units": 3},
    ]
    split = split_network(freeze(network(layers), ["first", "second"]))
    assert split is not None
    assert split.node == "first"
    x = np.random.default_rng(0).standard_normal((2, 8, 8, 1)).astype(np.float32)
    weights = network(layers).initial_weights(0)
    features = split.trunk.forward(weights, x, Context()).output
    np.testing.assert_array_equal(
        split.rest.forward(weights, features, Context()).output,
        network(layers).forward(weights, x, Context()).output,
    )


def test_factors_of_the_trunk_do_not_disturb(whole: Network, config: TrainingConfig) -> None:
    split = split_network(freeze(whole, config.freeze))
    assert split is not None
    asked = config.model_copy(update={"learning_rate_factors": {"dense_*": 0.5}})
    assert split.config(asked).learning_rate_factors == {"dense_*": 0.5}
    assert split.config(replace_factors(asked)).learning_rate_factors == {}


def test_each_epoch_sees_the_next_variant() -> None:
    """With one number a picture, epoch after epoch: what is trained on is the variant of that epoch."""
    drawn = np.arange(5 * 3, dtype=np.float32).reshape(3, 5, 1)
    given, *others = (FeatureSet(variant, np.zeros(5, np.int64)) for variant in drawn)
    varied = feature_data(data(), given, given, given, others)
    assert varied.image_shape == (1,)
    feed = Feed(CONFIG, varied)
    for epoch, variant in ((1, 0), (2, 1), (3, 2), (4, 0)):
        feed.shuffle(epoch)
        (batch,) = feed.batches(0)
        np.testing.assert_array_equal(batch.images, drawn[variant][batch.samples])


CUTS = {
    "residual_1": "max_pool2d_1",
    "residual_1/body/conv2d_2": "max_pool2d_1",
    "residual_2": "residual_1/activation",
    "residual_2/body/conv2d_2": "residual_1/activation",
    "conv2d_2": "residual_2/activation",
}
"""What learns from where on, and the last node whose output stays: in a block the one before it."""
DEEP: list[dict[str, Any]] = [
    {"type": "conv2d", "filters": 4, "kernel_size": 3, "padding": "same", "bias": False},
    {"type": "batch_norm", "activation": "relu"},
    {"type": "max_pool2d"},
    *(
        {
            "type": "residual",
            "layers": [
                {"type": "conv2d", "filters": 4, "kernel_size": 3, "padding": "same", "bias": False},
                {"type": "batch_norm", "activation": "relu"},
                {"type": "conv2d", "filters": 4, "kernel_size": 3, "padding": "same"},
            ],
            "activation": "relu",
        }
        for _ in range(2)
    ),
    {"type": "conv2d", "filters": 6, "kernel_size": 1, "activation": "relu"},
    {"type": "global_average_pool2d"},
    {"type": "dense", "units": 3},
]


@pytest.mark.parametrize(("node", "shares"), [(node, 1 + place % 2) for place, node in enumerate(CUTS)])
def test_more_than_a_head_learns_on_maps_what_it_learns_behind_its_trunk(node: str, shares: int) -> None:
    whole = network(DEEP)
    config = CONFIG.model_copy(update={"freeze": all_but(whole, nodes_from(whole, node))})
    ordinary = start(whole, config, data())
    list(train(whole, config, data(), ordinary))
    state = start(whole, config, data())
    split, narrow, given, narrowed = on_features(whole, config, data(), state)
    assert split.node == CUTS[node]
    made = execution(Setup(split.rest, config.loss, UNCHANGED, Tuning(), shares, 256))
    try:
        list(train(split.rest, narrow, given, narrowed, lambda *_: made))
    finally:
        made.close()
    widened = split.widened(narrowed, state.weights)
    for name, weight in ordinary.weights.items():
        np.testing.assert_allclose(widened.weights[name], weight, rtol=1e-2, atol=1e-4, err_msg=name)
    for one, other in zip(widened.history, ordinary.history, strict=True):
        assert one.dev_loss == pytest.approx(other.dev_loss, rel=1e-3)
    before = start(whole, config, data()).weights
    learnt = {name.rpartition("/")[0] for name in before if (widened.weights[name] != before[name]).any()}
    weighted = {node.name for node in whole.nodes if node.weights}
    assert learnt == weighted & nodes_from(whole, node)


def replace_factors(config: TrainingConfig) -> TrainingConfig:
    return config.model_copy(update={"learning_rate_factors": {"conv2d_1": 0.5}})
