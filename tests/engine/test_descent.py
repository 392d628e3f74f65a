"""What holds for every optimizer: clipping, accumulation, averages, decay, labels and numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from engine.augmentations import augment
from engine.errors import GraphError, ShapeError
from engine.execution.protocol import PlainExecution
from engine.recipe.optimizers import SGD
from engine.training.checkpoint import checkpoint_bytes, read_checkpoint
from engine.training.loop import TrainingConfig, TrainingData, check_config, kept_weights, train
from engine.training.state import TrainingState
from tests.engine.stripes import Stripes, arrays, data, in_two_threads, network, run

PLAIN = [
    {"type": "conv2d", "filters": 4, "kernel_size": 3, "activation": "relu"},
    {"type": "flatten"},
    {"type": "dense", "units": 3},
]
STEP = SGD(learning_rate=1.0, momentum=0.0)


def one_step(
    rules: dict[str, Any], layers: list[dict[str, Any]] = PLAIN
) -> tuple[TrainingState, dict[str, np.ndarray]]:
    """Return the state after a first step on all pictures, and what was added to the weights."""
    config = TrainingConfig.model_validate({"batch_size": 70, "optimizer": STEP, **rules})
    net = network(layers)
    before = net.initial_weights(config.seed)
    state = next(train(net, config, data())).state
    return state, {name: weight - before[name] for name, weight in state.weights.items()}


def length(changes: dict[str, np.ndarray]) -> float:
    return float(np.sqrt(sum(np.square(change.astype(np.float64)).sum() for change in changes.values())))


def test_gradients_are_cut_to_their_length_all_together() -> None:
    _, free = one_step({})
    assert length(free) > 0.1
    _, clipped = one_step({"clip": {"norm": 0.1}})
    assert length(clipped) == pytest.approx(0.1, rel=1e-4)
    for name, change in clipped.items():
        np.testing.assert_allclose(change, free[name] * 0.1 / length(free), atol=1e-7)
    _, loose = one_step({"clip": {"norm": 1e6}})
    for name, change in loose.items():
        np.testing.assert_array_equal(change, free[name])


def test_single_numbers_are_cut_before_the_length_is_taken() -> None:
    _, free = one_step({})
    _, cut = one_step({"clip": {"value": 0.01}})
    for name, change in cut.items():
        np.testing.assert_allclose(change, np.clip(free[name], -0.01, 0.01), atol=1e-7)
    _, both = one_step({"clip": {"value": 0.01, "norm": 0.005}})
    assert length(both) == pytest.approx(0.005, rel=1e-3)
    with pytest.raises(ValidationError, match="norm, value or both"):
        TrainingConfig.model_validate({"clip": {}})


@pytest.mark.parametrize("batch_size", [10, 16, 35])
def test_accumulated_batches_are_one_large_batch(batch_size: int) -> None:
    whole, free = one_step({})
    state, changes = one_step({"batch_size": batch_size, "accumulate": -(-70 // batch_size)})
    assert state.step == 1
    assert state.tally.images == 70
    assert state.tally.loss == pytest.approx(whole.tally.loss, rel=1e-6)
    assert state.tally.correct == whole.tally.correct
    for name, change in changes.items():
        np.testing.assert_allclose(change, free[name], atol=1e-6)


def test_a_step_of_several_batches_ends_with_the_epoch() -> None:
    reports = run(TrainingConfig(epochs=1, batch_size=16, accumulate=3))
    assert [report.images for report in reports if report.kind == "step"] == [48, 22]
    assert reports[-1].steps == 2


def test_the_average_follows_the_weights_and_is_what_is_judged_and_kept() -> None:
    config = TrainingConfig.model_validate(
        {"epochs": 2, "batch_size": 16, "weight_average": {"decay": 0.8}, "select": "last"}
    )
    expected: dict[str, np.ndarray] = {}
    seen = 0
    for report in train(network(), config, data()):
        if report.kind == "step" and not expected:
            expected = {name: array.copy() for name, array in network().initial_weights(0).items()}
        if report.kind == "step":
            seen += 1
            decay = min(0.8, (1 + seen) / (10 + seen))
            for name, weight in report.state.weights.items():
                expected[name] = decay * expected[name] + (1 - decay) * weight
    kept, epoch = kept_weights(config, report.state)
    assert epoch == 2
    for name, weight in kept.items():
        np.testing.assert_allclose(weight, expected[name], rtol=1e-5, atol=1e-6)
        assert weight.dtype == np.float32
    assert report.state.best_weights is not None
    assert any((kept[name] != report.state.weights[name]).any() for name in kept)
    raw = run(config.model_copy(update={"weight_average": None}))
    assert report.state.history[0].dev_loss != raw[-1].state.history[0].dev_loss
    assert report.state.history[0].train_loss == raw[-1].state.history[0].train_loss


def test_biases_and_normalisation_do_not_decay() -> None:
    layers = [
        {"type": "conv2d", "filters": 4, "kernel_size": 3},
        {"type": "batch_norm", "activation": "relu"},
        {"type": "flatten"},
        {"type": "dense", "units": 3},
    ]
    _, free = one_step({}, layers)
    decay = {"optimizer": {**STEP.model_dump(), "weight_decay": 0.5}}
    _, decayed = one_step(decay, layers)
    first = network(layers).initial_weights(0)
    for name, change in decayed.items():
        expected = free[name] - 0.5 * first[name] if name.endswith("/weight") else free[name]
        np.testing.assert_allclose(change, expected, atol=1e-6, err_msg=name)


def test_a_layer_can_have_a_factor_of_the_learning_rate() -> None:
    """By its name, or by a pattern; a name in full comes first."""
    _, free = one_step({})
    for rules in ({"conv2d_1": 0.125}, {"conv2d_*": 0.125}, {"*": 0.125, "dense_1": 1.0}):
        _, changes = one_step({"learning_rate_factors": rules})
        for name, change in changes.items():
            factor = 0.125 if name.startswith("conv2d") else 1
            np.testing.assert_allclose(change, factor * free[name], atol=1e-7, err_msg=name)


def test_factors_hold_in_shares_and_leave_the_metrics_their_learning_rate() -> None:
    config = TrainingConfig.model_validate(
        {
            "epochs": 1,
            "batch_size": 16,
            "optimizer": {"type": "sgd", "learning_rate": 0.05},
            "learning_rate_factors": {"conv2d_1": 0.1, "batch_norm_1": 3.0},
        }
    )
    shares = in_two_threads()
    ours, theirs = (run(config, execute=execute)[-1].state for execute in (shares, PlainExecution))
    shares.close()
    assert ours.history[-1].learning_rate == config.optimizer.rate()
    without = run(config.model_copy(update={"learning_rate_factors": {}}))[-1].state
    for name, weight in theirs.weights.items():
        np.testing.assert_allclose(ours.weights[name], weight, rtol=1e-3, atol=1e-4, err_msg=name)
    assert (theirs.weights["conv2d_1/weight"] != without.weights["conv2d_1/weight"]).any()


@pytest.mark.parametrize(
    ("rules", "name", "words"),
    [
        (
            {"learning_rate_factors": {"conv2d_1": 0.1, "no_such_*": 2.0}},
            "no_such_*",
            "no layer with weights",
        ),
        ({"learning_rate_factors": {"flatten_1": 0.1}}, "flatten_1", "no layer with weights"),
        ({"learning_rate_factors": {"conv2d_1": 0.1}, "freeze": ["conv2d_1"]}, "conv2d_1", "is frozen"),
        ({"learning_rate_factors": {"conv*": 0.1, "*_1": 2.0}}, "*_1", "like 'conv\\*' and like"),
    ],
)
def test_factors_that_make_no_sense_are_refused_with_their_name(
    rules: dict[str, Any], name: str, words: str
) -> None:
    config = TrainingConfig.model_validate(rules)
    with pytest.raises(GraphError, match=words) as caught:
        check_config(network(), config, (8, 8, 1), 3)
    assert caught.value.path == ("learning_rate_factors", name)
    assert caught.value.hint


def test_a_rule_for_one_array_is_given_each_weight_alone() -> None:
    """LARS: a step is in proportion to the length of the layer's own weight, none to that of all together."""
    first = network(PLAIN).initial_weights(0)
    _, free = one_step({})
    rule = {"type": "lars", "learning_rate": 2.0, "trust": 0.01, "momentum": 0.0}
    _, changes = one_step({"optimizer": rule})
    for name, change in changes.items():
        gradient, weight = -free[name].astype(np.float64), first[name].astype(np.float64)
        local = 0.01 * np.linalg.norm(weight) / np.linalg.norm(gradient) if "weight" in name else 1
        np.testing.assert_allclose(change, -2.0 * local * gradient, rtol=1e-3, atol=1e-6, err_msg=name)


def test_lookahead_goes_back_to_the_first_weights_part_of_the_way() -> None:
    inner = {"type": "sgd", "learning_rate": 0.1, "momentum": 0.5}
    first = network().initial_weights(0)
    rules = {"epochs": 1, "batch_size": 16}
    ahead = TrainingConfig.model_validate(rules | {"optimizer": inner})
    both = {"type": "lookahead", "inner": inner, "every": 3, "share": 0.25}
    following = TrainingConfig.model_validate(rules | {"optimizer": both})
    runs = (train(network(), ahead, data()), train(network(), following, data()))
    for step in (1, 2, 3):
        reached, weights = (next(each).state.weights for each in runs)
        for name in ("conv2d_1/weight", "dense_1/bias"):
            share = 0.25 if step == 3 else 1
            np.testing.assert_allclose(
                weights[name], first[name] + share * (reached[name] - first[name]), atol=1e-6
            )


class Labelled(Stripes):
    """Targets instead of classes."""

    def __init__(self, count: int, seed: int, targets: np.ndarray) -> None:
        super().__init__(count, seed)
        self._targets = targets[self.labels]

    def read(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.images[indices], self._targets[indices]


def labelled(targets: list[list[float]], names: tuple[str, ...]) -> TrainingData:
    sets = [Labelled(count, seed, np.array(targets)) for seed, count in enumerate((70, 30, 30))]
    return TrainingData(sets[0], sets[1], sets[2], names, (8, 8, 1))


def test_pictures_with_several_labels_are_learnt() -> None:
    task = labelled([[1, 0], [0, 1], [0, 0]], ("rows", "columns"))
    config = TrainingConfig.model_validate(
        {
            "epochs": 12,
            "batch_size": 16,
            "optimizer": {"type": "adam", "learning_rate": 0.01},
            "loss": {"type": "binary_cross_entropy"},
        }
    )
    layers = [*PLAIN[:-1], {"type": "dense", "units": 2, "activation": "sigmoid"}]
    history = list(train(network(layers), config, task))[-1].state.history
    assert history[-1].dev_accuracy is not None
    assert history[-1].dev_accuracy > 0.9


def test_numbers_are_learnt_and_are_neither_right_nor_wrong(tmp_path: Path) -> None:
    task = labelled([[0.5], [-1.0], [2.0]], ("height",))
    config = TrainingConfig.model_validate(
        {
            "epochs": 15,
            "batch_size": 16,
            "optimizer": {"type": "adam", "learning_rate": 0.01},
            "loss": {"type": "mean_squared_error"},
        }
    )
    layers = [*PLAIN[:-1], {"type": "dense", "units": 1}]
    reports = list(train(network(layers), config, task))
    state = reports[-1].state
    assert state.history[-1].dev_loss is not None
    assert state.history[-1].dev_loss < 0.5  # that of the mean is 1.5
    assert state.history[-1].dev_accuracy is None
    assert state.history[-1].train_accuracy is None
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(checkpoint_bytes(state))
    assert read_checkpoint(path, network(layers), config).history == state.history


def test_mixed_pictures_are_trained_on() -> None:
    config = TrainingConfig.model_validate(
        {
            "epochs": 4,
            "batch_size": 16,
            "augmentations": [{"type": "cutmix"}, {"type": "mixup", "alpha": 1.0}],
        }
    )
    state = run(config)[-1].state
    assert state.history[0].train_accuracy is not None
    assert all(np.isfinite(array).all() for _, array in arrays(state))
    assert state.history[-1].train_loss > 0.3  # mixtures cannot be told with certainty


def test_training_sees_what_a_preview_shows() -> None:
    """A network that passes its picture on shows it in the gradient of its bias."""
    parts = [{"type": "random_crop", "padding": 2}, {"type": "inversion"}]
    config = TrainingConfig.model_validate(
        {
            "batch_size": 70,
            "optimizer": {"type": "sgd", "learning_rate": 1.0, "momentum": 0.0},
            "loss": {"type": "mean_squared_error"},
            "augmentations": parts,
        }
    )
    task = labelled([[0.0] * 64] * 3, tuple(f"pixel {number}" for number in range(64)))
    net = network(
        [
            {"type": "conv2d", "filters": 1, "kernel_size": 1, "weight_initializer": "ones"},
            {"type": "flatten"},
        ]
    )
    state = next(train(net, config, task)).state
    images = task.train.read(np.arange(70))[0]
    seen = state.preprocessing.apply(augment(images, config.augmentations, seed=0))
    assert state.weights["conv2d_1/bias"][0] == pytest.approx(-2 * seen.mean(), rel=1e-4)


@pytest.mark.parametrize(
    ("rules", "path", "words"),
    [
        (
            {"augmentations": [{"type": "inversion"}, {"type": "hue", "degrees": 5}]},
            ("augmentations", 1),
            "3 channels",
        ),
        (
            {"loss": {"type": "softmax_cross_entropy", "class_weights": [1, 2]}},
            ("loss", "class_weights"),
            "2 numbers",
        ),
    ],
)
def test_a_configuration_that_does_not_fit_the_data_is_refused_with_its_place(
    rules: dict[str, Any], path: tuple[str | int, ...], words: str
) -> None:
    config = TrainingConfig.model_validate(rules)
    with pytest.raises(ShapeError, match=words) as caught:
        check_config(network(), config, (8, 8, 1), 3)
    assert caught.value.path == path
    with pytest.raises(ShapeError, match=words):
        next(train(network(), config, data()))
