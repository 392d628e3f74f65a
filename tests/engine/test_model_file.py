"""Model files: what comes back is what was written, and nothing damaged is taken for a model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.errors import ModelFileError, ShapeError
from engine.graph.architecture import Architecture
from engine.inputs.preprocessing import Preprocessing
from engine.model.inference import Predictor
from engine.model.model_file import Model, model_bytes, pack, read_description, read_model
from engine.recipe.losses import BinaryCrossEntropy, MeanSquaredError
from engine.training.loop import TrainingConfig
from tests.engine.stripes import LAYERS, data, run


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


def test_a_model_file_says_what_the_model_tells(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    model = trained_model()
    for target, loss in (("labels", BinaryCrossEntropy()), ("values", MeanSquaredError())):
        known = replace(model, target=target, loss=loss)
        path.write_bytes(model_bytes(known))
        assert read_model(path).target == target
        path.write_bytes(model_bytes(replace(known, loss=model.loss)))
        with pytest.raises(
            ModelFileError, match="contradicts itself: softmax_cross_entropy cannot be trained"
        ):
            read_model(path)
    path.write_bytes(model_bytes(model))
    description = read_description(path, "model")
    assert description.pop("target") == "class"
    path.write_bytes(pack(model.weights, description))  # as it was written before there were others
    assert read_model(path).target == "class"


def test_a_model_file_beyond_the_limits_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(model_bytes(trained_model()))
    with pytest.raises(ModelFileError, match="at most 100 are read"):
        read_model(path, max_bytes=100)
