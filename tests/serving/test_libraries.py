"""Which library computes a model: what is wanted, where that is possible."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import app.builtin
from app.errors import Conflict
from app.models import libraries
from app.models.libraries import settled
from app.settings import Settings
from engine.arrays import Array
from engine.model.inference import Predictor
from engine.model.model_file import read_model
from engine.model.runtime import onnx_runtime

FILE = Path(app.builtin.__file__).with_name("model_example.safetensors")


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(read_model(FILE))


def chosen(predictor: Predictor, inference: str) -> Predictor:
    settings = Settings.model_validate({"inference": inference, "cores": 1})
    return settled(predictor, "model_example", settings, None)


class Lines:
    """What was written to the log."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []

    def info(self, event: str, **values: object) -> None:
        self.events.append((event, values))

    warning = info


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Lines:
    written = Lines()
    monkeypatch.setattr(libraries, "log", written)
    return written


def test_numpy_is_left_as_it_is(predictor: Predictor, lines: Lines) -> None:
    assert chosen(predictor, "numpy") is predictor
    assert not lines.events


def test_what_is_wanted_is_not_measured(predictor: Predictor, lines: Lines) -> None:
    assert chosen(predictor, "onnxruntime").library == "onnxruntime"
    assert not lines.events


class Wrong(onnx_runtime.Session):
    """ONNX Runtime with a fault: quick, and wrong by a thousandth."""

    def scores(self, x: Array, batches: Sequence[int] | None = None) -> Array:
        return super().scores(x, batches) * np.float32(1.001)


class Slow(onnx_runtime.Session):
    """ONNX Runtime on a slow day."""

    def scores(self, x: Array, batches: Sequence[int] | None = None) -> Array:
        for _ in range(100):
            found = super().scores(x, batches)
        return found


@pytest.mark.parametrize(("kind", "difference"), [(Wrong, 1e-3), (Slow, 0)])
def test_auto_keeps_numpy_where_the_other_is_wrong_or_slow(
    predictor: Predictor,
    lines: Lines,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[onnx_runtime.Session],
    difference: float,
) -> None:
    monkeypatch.setattr(onnx_runtime, "Session", kind)
    assert chosen(predictor, "auto") is predictor
    ((event, said),) = lines.events
    assert (event, said["library"]) == ("model_computed_by", "numpy")
    assert said["largest_difference"] == pytest.approx(difference, abs=1e-4)


class Failing(onnx_runtime.Session):
    """ONNX Runtime that reads a model and then cannot run it."""

    def scores(self, x: Array, batches: Sequence[int] | None = None) -> Array:
        raise RuntimeError("no kernel for this operator")


def test_auto_keeps_numpy_where_the_other_fails(
    predictor: Predictor, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_runtime, "Session", Failing)
    assert chosen(predictor, "auto") is predictor
    ((event, said),) = lines.events
    assert (event, said["error"]) == ("model_without_onnxruntime", "no kernel for this operator")


def not_exportable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_runtime, "MAX_BYTES", 1000)


def not_readable(monkeypatch: pytest.MonkeyPatch) -> None:
    class Older(onnx_runtime.onnxruntime.InferenceSession):  # type: ignore[misc]
        """A version that does not know these operators yet."""

        def __init__(self, path: str, *_: object, **__: object) -> None:
            super().__init__(b"no model", providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnx_runtime.onnxruntime, "InferenceSession", Older)


def not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(sys.modules, "engine.model.runtime.onnx_runtime")


@pytest.mark.parametrize(
    ("break_it", "why"),
    [
        (not_exportable, "an ONNX file holds at most 1,000"),
        (not_readable, "ONNX Runtime does not read the model"),
        (not_installed, "onnxruntime"),
    ],
)
def test_what_it_cannot_compute_is_numpys_under_auto_and_else_an_error(
    predictor: Predictor,
    lines: Lines,
    monkeypatch: pytest.MonkeyPatch,
    break_it: object,
    why: str,
) -> None:
    assert callable(break_it)
    break_it(monkeypatch)
    assert chosen(predictor, "auto") is predictor
    ((event, said),) = lines.events
    assert (event, said["id"]) == ("model_without_onnxruntime", "model_example")
    assert why in str(said["error"])
    with pytest.raises(Conflict, match=why) as caught:
        chosen(predictor, "onnxruntime")
    assert caught.value.code == "not-exportable"
    assert "CONVSERVE_INFERENCE=auto" in caught.value.detail
