"""The training loop: it learns, it can be stopped anywhere, and going on changes no byte."""

from __future__ import annotations

import math
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.architecture import Architecture
from engine.checkpoint import checkpoint_bytes, read_checkpoint
from engine.errors import ModelFileError, NonFiniteError, ShapeError
from engine.inference import Predictor
from engine.model_file import Model, model_bytes, pack, read_model
from engine.network import Network
from engine.optimizers import OPTIMIZERS, SGD, Adam
from engine.preprocessing import Preprocessing
from engine.schedules import SCHEDULES, Constant, Cosine
from engine.state import Tally, TrainingState
from engine.training import (
    Progress,
    TrainingConfig,
    TrainingData,
    check_fit,
    evaluate,
    kept_weights,
    one_hot,
    train,
)

LAYERS = [
    {"type": "conv2d", "filters": 4, "kernel_size": 3, "padding": "same"},
    {"type": "batch_norm", "activation": "relu"},
    {"type": "max_pool2d"},
    {"type": "flatten"},
    {"type": "dropout", "rate": 0.2},
    {"type": "dense", "units": 3, "activation": "softmax"},
]


class Stripes:
    """Pictures of horizontal, vertical or no stripes, with noise."""

    def __init__(self, count: int, seed: int) -> None:
        draw = np.random.default_rng(seed)
        self.labels = np.arange(count) % 3
        images = draw.integers(0, 120, (count, 8, 8, 1))
        images[self.labels == 0, ::2] += 120
        images[self.labels == 1, :, ::2] += 120
        self.images = images.astype(np.uint8)

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.images[indices], self.labels[indices]


def data(train_images: int = 70, dev_images: int = 30) -> TrainingData:
    return TrainingData(
        Stripes(train_images, 0),
        Stripes(dev_images, 1),
        Stripes(30, 2),
        ("rows", "columns", "none"),
        (8, 8, 1),
    )


def network(layers: list[dict[str, Any]] = LAYERS) -> Network:
    return Network.build(Architecture.model_validate({"input_shape": [8, 8, 1], "layers": layers}))


def run(config: TrainingConfig, state: TrainingState | None = None) -> list[Progress]:
    return list(train(network(), config, data(), state))


def same_bytes(one: TrainingState, other: TrainingState) -> bool:
    """Compare everything but the time it took."""
    documents = []
    for state in (one, other):
        document = state.document() | {"seconds": 0}
        document["history"] = [metrics | {"seconds": 0} for metrics in document["history"]]
        documents.append(document)
    arrays = zip(_arrays(one), _arrays(other), strict=True)
    return documents[0] == documents[1] and all(
        left[0] == right[0] and left[1].tobytes() == right[1].tobytes() for left, right in arrays
    )


def _arrays(state: TrainingState) -> list[tuple[str, np.ndarray]]:
    found = [*state.weights.items(), *((f"best {k}", v) for k, v in (state.best_weights or {}).items())]
    for name, slots in state.slots.items():
        found += [(f"{slot} {name}", array) for slot, array in slots.items()]
    return sorted(found, key=lambda pair: pair[0])


def test_it_learns() -> None:
    config = TrainingConfig(epochs=8, batch_size=16, optimizer=Adam(learning_rate=0.01), schedule=Cosine())
    reports = run(config)
    assert [report.metrics.epoch for report in reports if report.metrics] == list(range(1, 9))
    state = reports[-1].state
    assert (state.step, state.epoch) == (8 * math.ceil(70 / 16), 8)
    tally = Tally()
    for _ in evaluate(network(), state.weights, state.preprocessing, config.loss, data().test, tally):
        pass
    assert tally.images == 30
    assert tally.accuracy > 0.9


@pytest.mark.parametrize("optimizer", [{"type": kind.model_fields["type"].default} for kind in OPTIMIZERS])
def test_a_run_stopped_after_any_report_goes_on_to_the_same_bytes(
    tmp_path: Path, optimizer: dict[str, Any]
) -> None:
    config = TrainingConfig.model_validate(
        {"epochs": 3, "batch_size": 16, "optimizer": optimizer, "schedule": {"type": "cosine"}}
    )
    undisturbed = run(config)[-1].state
    for stop in range(1, 3 * 6, 4):  # in the middle of an epoch, between evaluation and epoch, at its end
        reports = train(network(), config, data())
        for _ in range(stop):
            report = next(reports)
        path = tmp_path / f"{stop}.safetensors"
        path.write_bytes(checkpoint_bytes(report.state))
        reports.close()
        resumed = run(config, read_checkpoint(path, network(), config))[-1].state
        assert same_bytes(resumed, undisturbed), f"stopped after report {stop}"


def test_another_seed_is_another_run() -> None:
    assert not same_bytes(
        run(TrainingConfig(epochs=1))[-1].state, run(TrainingConfig(epochs=1, seed=1))[-1].state
    )


def test_the_last_smaller_batch_is_trained_as_it_is() -> None:
    steps = [
        report.images for report in run(TrainingConfig(epochs=1, batch_size=64)) if report.kind == "step"
    ]
    assert steps == [64, 6]


def test_best_keeps_the_epoch_with_the_lowest_dev_loss() -> None:
    config = TrainingConfig(epochs=6, batch_size=8, optimizer=SGD(learning_rate=0.2))
    losses, snapshots = [], []
    for report in train(network(), config, data()):
        if report.metrics:
            losses.append(report.metrics.dev_loss)
            snapshots.append({name: weight.copy() for name, weight in report.state.weights.items()})
    weights, epoch = kept_weights(config, report.state)
    assert epoch == int(np.argmin(losses)) + 1
    assert all((weights[name] == snapshots[epoch - 1][name]).all() for name in weights)
    last, epoch = kept_weights(config.model_copy(update={"select": "last"}), report.state)
    assert epoch == 6
    assert last is report.state.weights


def test_without_dev_pictures_the_last_epoch_is_kept() -> None:
    config = TrainingConfig(epochs=2)
    state = list(train(network(), config, data(dev_images=0)))[-1].state
    assert state.history[-1].dev_loss is None
    assert kept_weights(config, state)[1] == 2


def test_a_loss_that_is_not_finite_stops_before_the_weights_change() -> None:
    config = TrainingConfig(epochs=50, optimizer=SGD(learning_rate=1e30, momentum=0.0))
    plain = network(
        [
            {"type": "flatten"},
            {"type": "dense", "units": 9, "activation": "relu"},
            {"type": "dense", "units": 3},
        ]
    )
    state = None
    before: dict[str, np.ndarray] = {}
    with pytest.raises(NonFiniteError, match="step") as caught:  # noqa: PT012
        for report in train(plain, config, data()):
            state = report.state
            before = {name: weight.copy() for name, weight in state.weights.items()}
    assert caught.value.hint
    assert state is not None
    for name, weight in state.weights.items():
        np.testing.assert_array_equal(weight, before[name])
        assert np.isfinite(weight).all()


def test_a_state_that_is_not_finite_is_not_stored() -> None:
    state = run(TrainingConfig(epochs=1))[-1].state
    state.weights["dense_1/bias"][0] = np.nan
    with pytest.raises(NonFiniteError, match="dense_1/bias"):
        checkpoint_bytes(state)


def test_everything_stays_float32() -> None:
    state = run(TrainingConfig(epochs=1))[-1].state
    assert {array.dtype for _, array in _arrays(state)} == {np.dtype(np.float32)}


def test_steady_steps_allocate_nothing_large() -> None:
    reports = train(network(), TrainingConfig(epochs=40, batch_size=35), data())
    for _ in range(6):
        report = next(reports)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(60):
        report = next(reports)
    after, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert report.state.epoch > 5
    assert after - before < 64_000
    assert peak - before < 1_000_000


@pytest.mark.parametrize(
    ("layers", "path"),
    [
        ([{"type": "flatten"}, {"type": "dense", "units": 4}], ("layers",)),
        ([{"type": "conv2d", "filters": 3}], ("layers",)),
    ],
)
def test_an_output_that_does_not_fit_the_classes_is_refused(
    layers: list[dict[str, Any]], path: tuple[str, ...]
) -> None:
    with pytest.raises(ShapeError, match="3 classes") as caught:
        check_fit(network(layers), TrainingConfig(), (8, 8, 1), 3)
    assert caught.value.path == path
    with pytest.raises(ShapeError, match="8x8x1 pictures but the data set holds 9x8x1"):
        check_fit(network(), TrainingConfig(), (9, 8, 1), 3)


def test_sgd_follows_its_formula() -> None:
    weight, gradient = np.array([1.0, 2.0]), np.array([0.5, -1.0])
    slots = {"velocity": np.array([0.2, 0.1])}
    SGD(momentum=0.9).update(weight, gradient, slots, 0.1, 1)
    np.testing.assert_allclose(slots["velocity"], [0.68, -0.91])
    np.testing.assert_allclose(weight, [1 - 0.068, 2 + 0.091])


def test_nesterov_looks_ahead() -> None:
    weight, slots = np.array([1.0]), {"velocity": np.array([0.2])}
    SGD(momentum=0.5, nesterov=True).update(weight, np.array([0.4]), slots, 0.1, 1)
    np.testing.assert_allclose(weight, [1 - 0.1 * (0.4 + 0.5 * 0.5)])


def test_adam_follows_its_formula() -> None:
    weight, mean, square = 1.0, 0.0, 0.0
    array, slots = np.array([weight]), {"mean": np.zeros(1), "square": np.zeros(1)}
    for step, gradient in enumerate((0.5, -0.2, 0.1), start=1):
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        weight -= 0.01 * (mean / (1 - 0.9**step)) / (math.sqrt(square / (1 - 0.999**step)) + 1e-8)
        Adam().update(array, np.array([gradient]), slots, 0.01, step)
    assert array[0] == pytest.approx(weight, rel=1e-12)


def test_schedules_start_at_one_and_end_as_told() -> None:
    assert [kind().factor(0, 10) for kind in SCHEDULES] == [1.0] * len(SCHEDULES)
    assert Constant().factor(9, 10) == 1
    assert Cosine().factor(5, 10) == pytest.approx(0.5)
    assert Cosine(final=0.1).factor(10, 10) == pytest.approx(0.1)


def trained_model() -> Model:
    state = run(TrainingConfig(epochs=1))[-1].state
    architecture = Architecture.model_validate({"input_shape": [8, 8, 1], "layers": LAYERS})
    return Model(
        architecture, data().classes, state.preprocessing, TrainingConfig().loss, state.weights, {"note": "é"}
    )


def test_a_model_file_gives_the_model_back_and_equal_models_are_equal_files(tmp_path: Path) -> None:
    model = trained_model()
    path = tmp_path / "model.safetensors"
    path.write_bytes(model_bytes(model))
    read = read_model(path)
    assert (read.architecture, read.classes, read.metadata) == (
        model.architecture,
        model.classes,
        {"note": "é"},
    )
    assert model_bytes(read) == path.read_bytes()
    images = data().test.read(np.arange(30))[0]
    probabilities = Predictor(read).predict(images)
    np.testing.assert_array_equal(probabilities, Predictor(model).predict(images))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    with pytest.raises(ShapeError, match="takes 8x8x1 pictures but receives 9x9x1"):
        Predictor(read).predict(np.zeros((1, 9, 9, 1), np.uint8))


def test_a_written_softmax_is_applied_once() -> None:
    model = trained_model()
    plain_layers = [*LAYERS[:-1], {"type": "dense", "units": 3}]
    plain = Model(
        Architecture.model_validate({"input_shape": [8, 8, 1], "layers": plain_layers}),
        model.classes,
        model.preprocessing,
        model.loss,
        model.weights,
    )
    images = data().test.read(np.arange(5))[0]
    np.testing.assert_array_equal(Predictor(model).predict(images), Predictor(plain).predict(images))


def damaged(model: Model, kind: str) -> bytes:  # noqa: PLR0911, PLR0912
    good = model_bytes(model)
    description = {"format_version": 1, "kind": "model"}
    weights = dict(model.weights)
    match kind:
        case "empty":
            return b""
        case "truncated":
            return good[:-10]
        case "foreign":
            return b"PK\x03\x04" + good
        case "huge header":
            return (2**60).to_bytes(8, "little") + good[8:]
        case "later version":
            return pack(weights, description | {"format_version": 2})
        case "no architecture":
            return pack(weights, description)
        case "checkpoint":
            return pack(weights, description | {"kind": "checkpoint"})
        case "missing array":
            del weights["dense_1/bias"]
        case "surplus array":
            weights["extra/weight"] = np.zeros(3, np.float32)
        case "wrong shape":
            weights["dense_1/bias"] = np.zeros(4, np.float32)
        case "wrong dtype":
            weights["dense_1/bias"] = np.zeros(3, np.float64)
        case "classes":
            return model_bytes(Model(model.architecture, ("a",), model.preprocessing, model.loss, weights))
        case "channels":
            two = Preprocessing(mean=(0, 0), deviation=(1, 1))
            return model_bytes(Model(model.architecture, model.classes, two, model.loss, weights))
    return model_bytes(Model(model.architecture, model.classes, model.preprocessing, model.loss, weights))


@pytest.mark.parametrize(
    "kind",
    [
        "empty",
        "truncated",
        "foreign",
        "huge header",
        "later version",
        "no architecture",
        "checkpoint",
        "missing array",
        "surplus array",
        "wrong shape",
        "wrong dtype",
        "classes",
        "channels",
    ],
)
def test_a_damaged_model_file_is_refused_in_words(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(damaged(trained_model(), kind))
    with pytest.raises(ModelFileError) as caught:
        read_model(path)
    assert caught.value.detail


def test_a_model_file_beyond_the_limits_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(model_bytes(trained_model()))
    with pytest.raises(ModelFileError, match="at most 100 are read"):
        read_model(path, max_bytes=100)


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    config = TrainingConfig(epochs=1)
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(checkpoint_bytes(run(config)[-1].state))
    other = network([*LAYERS[:-1], {"type": "dense", "units": 4}])
    with pytest.raises(ModelFileError, match="dense_1"):
        read_checkpoint(path, other, config)


def test_one_hot_rows_hold_one_one() -> None:
    assert one_hot(np.array([2, 0]), 3).tolist() == [[0, 0, 1], [1, 0, 0]]
